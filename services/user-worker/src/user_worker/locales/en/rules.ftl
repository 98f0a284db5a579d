# /dca, /copy and what they tell.

### /dca

help-dca = /dca $50 BTC daily – buy again and again; alone: your plans
plan-usage = Try <code>/dca $50 BTC daily</code>; hourly, weekly, <code>every 6 hours</code> and <code>10 times</code> are understood too.
plan-what-money = { $symbol } for { $amount } { $currency }
plan-what-units = { $amount } { $symbol }
plan-period-hourly = every hour
plan-period-daily = every day
plan-period-weekly = every week
plan-period = every { $duration }
plan-how-often = <b>{ $what }: how often?</b>
plan-no-share = A plan needs a fixed amount, such as <code>$50</code> or <code>0.001</code>: a share of what you have would shrink each time.
plan-period-bounds = That is too often or too seldom: a plan can buy at most once in { $least } and must buy at least once in { $most }.
plan-runs-bounds = A plan can buy 1 to { $most } times.
plan-offer = <b>Buy { $what } { $period }?</b>
plan-about = At the price of now that is about { $amount } { $symbol } a time.
plan-first = The first purchase is made at once, the next ones at the same time.
plan-times = { $count } purchases in all.
plan-no-end = Until you pause or cancel it.
plan-rules = <i>Each purchase is a market order at the price of then (slippage { $slippage }). Nothing is set aside for it: when there is too little money it is refused, and after three of those in a row the plan pauses. Without a price it is tried again for { $patience } and then skipped. What could not be bought while I was away is not made up for.</i>
plan-valid = Good until { $until }.
plan-active = ✓ <b>The plan is active: { $what } { $period }.</b> The first purchase is being made; I tell you of each one.
plan-paused = This plan is paused.
plan-finished = This plan has made all its purchases.
plan-cancelled = This plan is cancelled.
plan-expired = This offer has run out. Nothing was changed.
plan-offered = This plan is not confirmed.
plan-dropped = Withdrawn. Nothing was changed.
plan-active-short = The plan goes on.
plan-paused-short = Paused.
plan-cancelled-short = Cancelled.
plan-finished-short = It has made all its purchases.
plan-expired-short = The offer has run out.
plan-offered-short = It is not confirmed.
refused-frozen-short = Your trading is frozen.
plan-too-many = You have { $count } plans, and more there may not be. Cancel one first: /dca
plan-not-yours = There is no such plan of yours. Nothing was changed.
plan-none = <b>You have no plans.</b>
plan-list = <b>Your plans</b>
plan-line = { $number }. { $what } { $period } · made: { $runs } · next: { $next }
plan-line-paused = { $number }. { $what } { $period } · made: { $runs } · paused
plan-runs-of = { $runs } of { $most }
button-plans = Plans
button-plan-pause = ⏸ Pause { $number }
button-plan-resume = ▶ Resume { $number }
button-plan-cancel = ✗ Cancel { $number }
receipt-by-plan = Bought by your plan.
receipt-by-copy = A copied trade.
note-run-skipped = Your plan to buy { $what } has skipped a purchase.
note-no-price = There was no price to trade on.
note-plan-paused = <b>Your plan to buy { $what } is paused.</b> The last { $count } purchases found too little money. Resume it when there is enough.
note-plan-finished = Your plan to buy { $what } has come to its end after { $count } purchases.

### /copy

help-copy = /copy – copy another’s trades, or let others copy yours
copy-usage =
    <code>/copy 7K3M-9Q2X $50</code> copies whoever gave you that code, for $50 a purchase.
    <code>/copy share</code> lets others copy you.
copy-how-much = <b>For how much a purchase?</b> Press, or send the code again with an amount: <code>/copy 7K3M-9Q2X $50</code>
copy-no-share = A copied purchase needs a fixed amount of money.
copy-offer = <b>Copy the trades of { $code }?</b>
copy-buys = When they buy something, you buy it for <b>{ $amount } { $currency }</b>.
copy-sells = When they sell a part of what they have of it, you sell the same part of what you copied of it from them.
copy-rules = <i>Each is a market order at the price of then (slippage { $slippage }), moments after theirs. Trades more than { $fresh } old are not copied. Trades they copied themselves are not copied on. Past gains promise nothing.</i>
copy-seen = You see their trades: what, which way and when. They see how many copy them, and nothing of you.
copy-active = ✓ <b>You copy { $code } from now on.</b> I tell you of each trade.
copy-ended = This copying has ended.
copy-expired = This offer has run out. Nothing was changed.
copy-offered = This copying is not confirmed.
copy-dropped = Withdrawn. Nothing was changed.
copy-stopped-short = Stopped. What you hold stays.
copy-unknown-code = Nobody shares trades under this code, or not any more.
copy-own-code = That is your own code.
copy-copied-already = You copy this code already. Stop it first to change the amount: /copy
copy-followers-max = As many copy this code as there may be.
copy-too-many = You copy { $count } others, and more there may not be. Stop one first: /copy
copy-not-yours = There is no such copying of yours. Nothing was changed.
copy-none = <b>You copy nobody.</b>
copy-list = <b>You copy</b>
copy-line = { $number }. { $code }, { $amount } { $currency } a purchase
button-copies = Copying
button-copy-stop = ✗ Stop { $number }
button-share = Share my trades
button-unshare = Stop sharing
share-ask =
    <b>Let others copy your trades?</b>
    You get a code. Whoever has it can copy what you trade from then on, and sees of each trade what it was, which way and when. Nobody sees who you are, how much you trade or what you have. You can stop at any time.
share-code =
    Your code: <code>{ $code }</code>
    Whoever has it can copy your trades with <code>/copy { $code } $50</code>. Copying you now: { $followers }
share-line = Others copy you by <code>{ $code }</code>: { $followers }
share-stopped = Nobody can copy you any more. Those who did are told; the code is void.
share-none = You are not sharing your trades.
note-copy-skipped-buy = { $code } bought { $symbol }, and you did not.
note-copy-skipped-sell = { $code } sold { $symbol }, and you did not.
note-copies-missed = Trades of { $code } that could not be copied within { $fresh }: { $count }
note-copy-ended = <b>{ $code } shares no more.</b> You copy them no longer; what you hold stays.
