//! `fulfil_order` and `book_freight`.

use serde_json::{Value, json};

use crate::support::{Example, Host};

/// A carrier that asks this price.
fn carrier(name: &str, price: f64) -> Value {
    json!({ "quote": { "says": { "carrier": name, "price": price } } })
}

fn payments() -> Value {
    json!({
        "charge": { "says": { "id": "charge-1", "amount": "$amount" } },
        "refund": { "says": {} },
    })
}

/// The label of a parcel, and what is heard of it one time after the other.
fn shipping(statuses: &[&str]) -> Value {
    let tracks: Vec<_> = statuses.iter().map(|status| json!({ "says": { "status": status } })).collect();
    json!({ "label": { "says": { "label": "P-1", "by": "$carrier" } }, "track": tracks })
}

/// The example with everything but carriers.
fn example(payments: Value, shipping: Value) -> Example {
    let reserve: Vec<_> = (1..=12).map(|n| json!({ "says": { "id": format!("r{n}"), "price": 10 } })).collect();
    Example::of("fulfil_order")
        .server("warehouse", json!({ "reserve": reserve, "release": { "says": {} } }))
        .server("payments", payments)
        .server("shipping", shipping)
}

fn all_carriers(example: Example) -> Host {
    let cheap = example.server("ups", carrier("ups", 4.5)).server("dhl", carrier("dhl", 6.0));
    cheap.server("post", carrier("post", 5.0)).start()
}

fn order(items: usize) -> Value {
    let items: Vec<_> = (0..items).map(|n| json!({ "sku": format!("s{n}"), "qty": 1 })).collect();
    json!({ "order_id": "A-1", "customer": { "id": "ada", "email": "ada@example.com" }, "items": items, "settle": "5ms" })
}

fn delivered() -> Value {
    json!({ "charge": "charge-1", "status": "delivered" })
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

#[test]
fn an_order_is_charged_with_the_cheapest_quote_and_shipped() {
    // Two quotes are enough, so the price is known only where the third carrier is silent.
    let example = example(payments(), shipping(&["delivered"])).server("ups", carrier("ups", 4.5));
    let mut host = example.server("dhl", carrier("dhl", 6.0)).server("post", json!({ "quote": "hangs" })).start();
    assert_eq!(host.value("fulfil_order", order(2)), delivered());
    assert_eq!(host.record("payments", "heard"), [r#"charge {"customer":"ada","amount":24.5}"#]);
    let heard = host.record("shipping", "heard");
    assert_eq!(heard, [r#"label {"carrier":"ups","order":"A-1"}"#, r#"track {"label":"P-1"}"#]);
}

#[test]
fn one_carrier_may_be_down() {
    let example = example(payments(), shipping(&["delivered"])).server("ups", carrier("ups", 4.5));
    let mut host = example.server("post", carrier("post", 5.0)).start();
    assert_eq!(host.value("fulfil_order", order(1)), delivered());
}

#[test]
fn a_parcel_that_comes_back_undoes_the_order() {
    let mut host = all_carriers(example(payments(), shipping(&["returned"])));
    let report = host.failed("fulfil_order", order(2));
    assert_eq!((&report["status"], &report["error"]["message"]), (&json!("undone"), &json!("The parcel came back")));
    assert_eq!(
        (&report["undone"][0], report["undone"].as_array().map(Vec::len)),
        (&json!("charge"), Some(3)),
        "{report}"
    );
    assert_eq!(host.record("payments", "heard")[1], r#"refund {"charge":"charge-1"}"#);
    let released = sorted(host.record("warehouse", "heard").split_off(2));
    assert_eq!(released, [r#"release {"reservation":"r1"}"#, r#"release {"reservation":"r2"}"#]);
}

#[test]
fn an_order_that_is_not_delivered_in_time_is_undone() {
    let mut host = all_carriers(example(payments(), shipping(&["on its way"])));
    let report =
        host.failed("run_workflow", json!({ "workflow": "fulfil_order", "input": order(1), "timeout_ms": 2_000 }));
    assert_eq!((&report["status"], &report["error"]["kind"]), (&json!("undone"), &json!("timeout")), "{report}");
    assert_eq!(host.record("payments", "calls"), ["charge", "refund"]);
}

#[test]
fn a_declined_card_waits_for_another_one() {
    let declined = json!({ "fails": "the card was declined", "with": { "code": "card_declined" } });
    let second = json!({ "says": { "id": "charge-2", "card": "$card" } });
    let payments = json!({ "charge": [declined, second], "refund": { "says": {} } });
    let mut host = all_carriers(example(payments, shipping(&["returned"])));
    let run = json!({ "workflow": "fulfil_order", "input": order(1), "wait": false });
    let run = host.value("run_workflow", run)["run_id"].clone();
    host.await_record("payments", "calls", 1);
    let data = json!({ "order_id": "A-1", "card": "card-2" });
    host.value(
        "control_run",
        json!({ "run_id": run, "action": "signal", "event": "order.card_updated", "data": data }),
    );
    let report = host.failed("get_run", json!({ "run_id": run, "wait_ms": 15_000 }));
    assert_eq!(report["status"], "undone", "{report}");
    let heard = host.record("payments", "heard").split_off(1);
    let refund = r#"refund {"charge":"charge-2"}"#;
    assert_eq!(heard, [r#"charge {"customer":"ada","card":"card-2"}"#, refund], "{report}");
}

fn freight(waybill: &Value) -> Host {
    let freight = json!({ "book": { "says": { "id": "truck-1" } }, "waybill": waybill, "cancel": { "says": {} } });
    let example = example(payments(), shipping(&["delivered"])).server("freight", freight);
    let mut ups = carrier("ups", 9.0);
    ups["quote"] = json!({ "fails": "no trucks" });
    example.server("dhl", carrier("dhl", 6.0)).server("post", carrier("post", 7.0)).server("ups", ups).start()
}

#[test]
fn a_large_order_goes_by_freight() {
    let mut host = freight(&json!({ "says": { "label": "W-1" } }));
    assert_eq!(host.value("fulfil_order", order(12)), delivered());
    assert_eq!(host.record("shipping", "heard"), [r#"track {"label":"W-1"}"#]);
}

#[test]
fn a_truck_without_a_waybill_is_cancelled_and_the_order_undone() {
    let mut host = freight(&json!({ "fails": "the printer is on fire" }));
    let report = host.failed("fulfil_order", order(12));
    assert_eq!(report["status"], "undone", "{report}");
    assert_eq!(host.record("freight", "heard")[2], r#"cancel {"booking":"truck-1"}"#);
    assert_eq!(host.record("warehouse", "calls").len(), 24, "twelve reservations and twelve releases");
    assert_eq!(host.record("payments", "calls"), ["charge", "refund"]);
}
