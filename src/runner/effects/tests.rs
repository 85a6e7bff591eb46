//! Calls that come to no good end.

use serde_json::json;

use super::*;
use crate::model::effect::Effect;
use crate::model::name::ToolRef;
use crate::model::port::BoxFuture;
use crate::model::usage::Allowance;

/// A door with a mistake in it.
struct Broken;

impl Invoke for Broken {
    fn invoke(self: Arc<Self>, _call: Call) -> BoxFuture<Result<Reply, Fault>> {
        Box::pin(async { panic!("on purpose") })
    }
}

#[tokio::test]
async fn a_call_that_is_lost_by_a_mistake_of_ours_has_failed_and_is_not_in_flight_any_more() {
    let mut effects = Effects::new(Through::new(Arc::new(Broken), Principal::new("ada"), "r1", Gate::new(1, 1)));
    let call = StepCall {
        at: "a".to_owned(),
        attempt: 1,
        callee: Callee::Tool(ToolRef { server: "s".to_owned(), tool: "t".to_owned() }),
        arguments: json!({}),
        providers: Vec::new(),
        key: None,
        effect: Effect::Write,
        timeout: None,
        allowance: Allowance::default(),
        is_detached: false,
        is_afterwards: true,
    };
    assert!(effects.has_leave(&call), "nothing else is done");
    effects.call(call);
    let happened = effects.next().await.and_then(|(_, what)| what);
    let Some(What::Called { at, outcome: Called::Failure(failure), .. }) = happened else { panic!("{happened:?}") };
    assert_eq!((&*at, &*failure.kind, failure.was_sent), ("a", "internal", true));
    assert!(!effects.is_calling());
}
