//! `send_coached_sms`.

use serde_json::{Value, json};

use crate::support::Example;

/// The example, with these stand-ins for what looks up contacts, and for what sends.
fn example(contacts: Value, sender: Value) -> Example {
    let platform = json!({
        "get_coach": { "says": { "id": "$coach_id", "phone": "+15550000001" } },
        "log_message": [{ "says": { "logged": "$message_id" } }, { "fails": "the log is full" }],
    });
    Example::of("send_coached_sms")
        .server("google-workspace", contacts)
        .server("main-platform", platform)
        .server("textbee", sender)
}

fn contacts() -> Value {
    json!({ "get_contact": { "says": { "name": "Ada", "phone": "$phone" } } })
}

fn sender() -> Value {
    json!({
        "send": { "says": { "id": "sms-1", "to": "$to" } },
        "send_cancellation_notice": { "says": { "id": "sms-2" } },
    })
}

fn input() -> Value {
    json!({ "phone": "+15551234567", "coach_id": "coach-123", "message": "Hi! This is your coach." })
}

#[test]
fn an_sms_is_sent_in_the_name_of_the_coach() {
    let mut host = example(contacts(), sender()).start();
    let output = host.value("send_coached_sms", input());
    assert_eq!(output, json!({ "message_id": "sms-1", "sent_to": "Ada <+15551234567>" }));
    let heard = host.record("textbee", "heard");
    assert_eq!(heard, [r#"send {"to":"+15551234567","from":"+15550000001","message":"Hi! This is your coach."}"#]);
}

#[test]
fn an_sms_that_cannot_be_logged_is_taken_back() {
    let mut host = example(contacts(), sender()).start();
    host.value("send_coached_sms", input());
    let report = host.failed("send_coached_sms", input());
    assert_eq!((&report["status"], &report["undone"]), (&json!("undone"), &json!(["sms"])), "{report}");
    assert_eq!((&report["error"]["step"], &report["error"]["message"]), (&json!("logged"), &json!("the log is full")));
    let calls = host.record("textbee", "heard");
    let notice = r#"send_cancellation_notice {"to":"+15551234567","message":"Previous message cancelled"}"#;
    assert_eq!((calls.len(), calls[2].as_str()), (3, notice));
    assert_eq!(host.record("google-workspace", "calls").len(), 1, "a contact is kept for a while");
}

#[test]
fn nothing_is_sent_without_a_contact() {
    let contacts = json!({ "get_contact": { "fails": "no such contact" } });
    let mut host = example(contacts, sender()).start();
    let report = host.failed("send_coached_sms", input());
    assert_eq!((&report["status"], &report["error"]["step"]), (&json!("failed"), &json!("contact")), "{report}");
    assert_eq!(host.record("textbee", "calls"), Vec::<String>::new());
}

#[test]
fn an_sms_of_which_nobody_knows_whether_it_was_sent_is_not_sent_twice() {
    let mut host = example(contacts(), json!({ "send": "dies", "send_cancellation_notice": { "says": {} } })).start();
    let report = host.failed("send_coached_sms", input());
    assert_eq!((&report["error"]["kind"], &report["error"]["step"]), (&json!("in_doubt"), &json!("sms")), "{report}");
    assert_eq!(host.record("textbee", "calls"), ["send"]);
}
