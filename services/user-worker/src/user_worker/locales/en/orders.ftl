# Buying and selling, from the first word to the receipt.

### What and how much

buy-which = What do you want to buy? Press, or write its ticker.
sell-which = What do you want to sell? Press, or write its ticker.
buy-how-much = <b>How much { $symbol } do you want to buy?</b>
sell-how-much = <b>How much { $symbol } do you want to sell?</b>
buy-available = You have { $amount } { $symbol } to spend.
sell-available = You have { $amount } { $symbol } to sell.
how-much-example = Press, or write for example <code>$100</code>, <code>0.5</code> (of { $symbol }), <code>50%</code> or <code>all</code>.
amount-not-a-number = I cannot read that as an amount.
amount-strange-characters = That amount has signs I do not trust. Please use the digits 0 to 9 and a point.
amount-negative = An amount below zero cannot be traded.
amount-zero = Zero is nothing to trade.
amount-too-long = That is longer than any amount I can read.
amount-too-many-digits = That amount has more digits than anything traded here.
amount-over-all = More than 100% cannot be had.
amount-other-unit = I count in USDT, in { $symbol } or in per cent, and that is none of them.
amount-ambiguous = That can be read in two ways, and I do not guess about money. Which one do you mean?
button-all = all

### The offer

draft-buy = <b>Buy { $symbol }?</b>
draft-sell = <b>Sell { $symbol }?</b>
draft-spend = You give: <b>{ $amount } { $symbol }</b>
draft-spend-at-most = You give at most: <b>{ $amount } { $symbol }</b>, and keep what is not needed
draft-receive = You get about: <b>{ $amount } { $symbol }</b>
draft-price = Price: { $price } { $currency } for 1 { $symbol }
draft-fee = Fee: { $amount } { $symbol }, already taken off
draft-bound = At least { $amount } { $symbol } before the fee, or nothing is traded (slippage { $slippage })
draft-valid = Good for { $duration }, until { $until }.
button-confirm = ✓ Confirm
button-cancel = Cancel
button-again = Ask again
button-other-amount = Another amount
draft-cancelled-buy = This offer is withdrawn. No { $symbol } was bought, nothing was changed.
draft-cancelled-sell = This offer is withdrawn. No { $symbol } was sold, nothing was changed.
draft-cancelled-short = Withdrawn.
draft-expired-buy = This offer has run out. No { $symbol } was bought, nothing was changed.
draft-expired-sell = This offer has run out. No { $symbol } was sold, nothing was changed.
draft-expired-short = Too late: the offer has run out.
draft-not-yours = There is no such offer of yours. Nothing was changed.

### Why not

refused-unknown-symbol = That is not traded here.
refused-nothing-to-spend = You have too little for that.
refused-nothing-to-spend-of = You do not have enough { $symbol } for that.
refused-insufficient-funds = You have too little for that.
refused-insufficient-funds-bound = You have too little for that: { $bound } can be spent.
refused-too-small = That is too little to trade.
refused-too-small-bound = That is too little to trade: the least is { $bound }.
refused-too-large = That is more than one order may trade.
refused-too-large-bound = That is more than one order may trade: the most is { $bound }.
refused-too-precise = That amount has more digits after the point than can be traded.
refused-too-precise-bound = That amount has more digits after the point than { $symbol } is traded with: the most is { $digits }.
refused-stale-price = The price is too old to trade on just now. Please try again in a moment.
refused-price-moved = The price moved further than your slippage allows.
refused-not-taken = The market did not take the order.
refused-too-late = The order could not reach the market in time.
refused-limit-exceeded = That passes a limit of your account.
refused-limit-exceeded-bound = That passes a limit of your account: { $bound }.
refused-too-many-resting = As many of your orders wait for a price as may.
refused-too-many-resting-bound = At most { $bound } of your orders may wait for a price. Cancel one first.
refused-too-many-alerts = As many of your alerts wait as may.
refused-too-many-alerts-bound = At most { $bound } of your alerts may wait. Remove one first.
refused-already-past = That price is met already.
refused-already-past-bound = That price is met already, at { $bound }: it would be an order at once. For that there are /buy and /sell.
refused-out-of-reach = That price is too far from the present one.
refused-out-of-reach-bound = That price is too far from the present one, { $bound }. A slip of the hand?

### The receipt

order-done-buy = ✓ <b>Bought { $received }</b> for { $spent }
order-done-sell = ✓ <b>Sold { $spent }</b> for { $received }
order-filled-buy = ✓ <b>Bought { $symbol }.</b>
order-filled-sell = ✓ <b>Sold { $symbol }.</b>
order-at = Done on { $moment }
order-failed-buy = ✗ <b>No { $symbol } was bought.</b>
order-failed-sell = ✗ <b>No { $symbol } was sold.</b>
funds-back = Nothing was spent.
order-pending-buy = ◷ <b>Buying { $symbol }</b> is under way. I will tell you as soon as it is done.
order-pending-sell = ◷ <b>Selling { $symbol }</b> is under way. I will tell you as soon as it is done.
order-held = Set aside for it: { $amount } { $symbol }
receipt-simulated = <i>A simulated trade: play money, made-up market.</i>
receipt-id = Receipt <b>{ $receipt }</b>: <code>/receipt { $typed }</code>
order-done-short = Done. Receipt { $receipt }
order-failed-short = Not done. Receipt { $receipt }
order-pending-short = Under way. Receipt { $receipt }
button-look-again = Look again
receipt-malformed = { $typed } cannot be a receipt: they look like <code>7K3M-9Q2X</code>.
receipt-unknown = You have no receipt { $receipt }.
receipt-none = You have no receipts yet. Each order gets one.
receipt-which = Which receipt? The newest are these; write <code>/receipt</code> and its id for an older one.
receipt-button-done = ✓ { $what } { $symbol } · { $receipt }
receipt-button-failed = ✗ { $what } { $symbol } · { $receipt }
receipt-button-pending = ◷ { $what } { $symbol } · { $receipt }
side-buy = Buy
side-sell = Sell

### /cancel

cancel-offers = Withdrawn: all open offers ({ $count }). What you confirmed before goes on.
cancel-dialogue = All right, never mind. Nothing was changed.
cancel-nothing = There is nothing to cancel: no offer is open. What you confirmed before goes on.
cancel-too-late = Too late: it was confirmed before.
