# What is told of orders nobody waited for any more.

notice-bought =
    <b>Your order is done.</b> You bought { $received } for { $spent }.
    Receipt { $receipt }: <code>/receipt { $command }</code>
notice-sold =
    <b>Your order is done.</b> You sold { $spent } for { $received }.
    Receipt { $receipt }: <code>/receipt { $command }</code>
notice-rejected =
    <b>Your order for { $symbol } was not carried out.</b> Nothing was spent.
    Receipt { $receipt }: <code>/receipt { $command }</code>
