//! Takes orders in: `order-received` to `order-confirmed`.
//!
//! An order is confirmed when its id is new, every product is in the catalogue (config `products`, codes with spaces
//! between them) and no line asks for more than can be filled (config `max-quantity`). Stock is not counted down.
//!
//! One order id has one content: the order again, in whatever event, has no second effect; another order under the
//! same id is rejected. What is kept of an order is the fingerprint of its JSON as the customer wrote it.

mod fingerprint;

use fnhost_sdk::prelude::*;
use order::{Carried, Order, check, topic};

fn handle<'a>(mut event: Event<'a, Carried<'a>>, context: &mut Context<'_>) -> Outcome {
    let order = &event.data.order;
    check(&event, topic::RECEIVED, order)?;

    let fingerprint = fingerprint::of(order.json());
    match context.state.get(order.id.as_bytes()) {
        Some(seen) if seen == fingerprint => return Ok(vec![]),
        Some(_) => {
            return Err(Failure::reject(format!("order {} was already taken in with other content", order.id)));
        }
        None => check_lines(order, context.config)?,
    }

    context.state.set(order.id.as_bytes(), &fingerprint);
    let (name, kind) = topic::CONFIRMED;
    // The order came in when the event says; nobody else on its way knows.
    event.data.ordered_at.clone_from(&event.time);
    Ok(vec![context.output(&event, name, kind, &event.data)?])
}

/// Rejects an order that cannot be filled, with the first line that is in the way.
fn check_lines(order: &Order<'_>, config: &dyn Config) -> Result<(), Failure> {
    let catalogue = config.required("products")?;
    let max_quantity: i64 = config.parsed("max-quantity")?;
    if order.products.is_empty() {
        return Err(Failure::reject("the order has no products"));
    }
    for (line, product) in order.products.iter().enumerate() {
        let (code, quantity) = (&product.code, product.quantity.0);
        if !catalogue.split_ascii_whitespace().any(|known| known == code) {
            return Err(Failure::reject(format!("product {code} is not in the catalogue (products[{line}])")));
        }
        if quantity < 1 {
            return Err(Failure::reject(format!(
                "product {code} is ordered {quantity} times, and 1 is the least (products[{line}])"
            )));
        }
        if quantity > max_quantity {
            return Err(Failure::reject(format!(
                "product {code} is ordered {quantity} times, and {max_quantity} is the most a line can have \
                 (products[{line}])"
            )));
        }
    }
    Ok(())
}

fnhost_sdk::function!(handle, source = "/fulfilment/inventory");
