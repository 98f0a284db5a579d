# /panic and what is frozen.

help-panic = /panic – stop everything at once and freeze your trading
refused-frozen = You froze your trading. <code>/panic off</code> lets you trade again.
frozen-line = ❄ Your trading is frozen since { $moment }. <code>/panic off</code> lets you trade again.
panic-frozen = ❄ <b>Your trading is frozen.</b>
panic-nothing = There was nothing to stop.
panic-orders = Orders given up before they reached the market: { $count }
panic-resting = Waiting orders cancelled: { $count }
panic-plans = Plans cancelled: { $count }
panic-copies = Copies stopped: { $count }
panic-offers = Offers withdrawn: { $count }
panic-submitted = ⚠ Orders that were at the market already: { $count }. They cannot be called back; I ask what became of them and tell you.
panic-until = Until you end this, I accept no order of yours, and nothing of yours is copied by others. What you hold stays as it is, and alerts go on.
panic-resume =
    <b>Trade again?</b>
    What was stopped stays stopped; you can order anew.
panic-over = Your trading is no longer frozen. What was stopped stays stopped.
panic-not-frozen = Your trading is not frozen. <code>/panic</code> stops everything and freezes it.
button-resume-trading = Resume trading
button-stay-frozen = Stay frozen
