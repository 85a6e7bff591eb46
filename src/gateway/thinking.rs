//! Asking models until there is an answer: one after the other, with tools, within bounds.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::gateway::door::Gateway;
use crate::gateway::toolbox::Toolbox;
use crate::llm::chat::{Answer, Chat, Message};
use crate::llm::sampling;
use crate::llm::structured::{complaint, read};
use crate::model::call::Call;
use crate::model::code;
use crate::model::fault::{Fault, Kind};
use crate::model::name::SAMPLING;
use crate::model::usage::{Allowance, Cost, Usage};
use crate::registry::model::Price;
use crate::wire::envelope::bounded;

/// A question, and what may be done to answer it.
pub(super) struct Thought {
    /// The models to be asked, in order; at least one.
    pub(super) chain: Vec<Arc<str>>,
    /// What they are asked.
    pub(super) chat: Chat,
    /// What they may use.
    pub(super) toolbox: Toolbox,
    /// How often they may be asked.
    pub(super) turns: u32,
    /// How much may be used up, beside what bounds the call.
    pub(super) allowance: Allowance,
}

/// A fault of somebody who has called tools that may write: whoever begins again would call them again.
fn half_done(mut fault: Fault) -> Fault {
    if fault.is_retryable() {
        fault.kind = Kind::InDoubt;
        fault.message =
            format!("{}; tools that may write had been called before, so it was not tried again", fault.message);
    }
    fault.sent()
}

/// What has come of it.
pub(super) struct Finished {
    /// The answer: text, or what was asked for by a schema.
    pub(super) value: Value,
    /// What was used up.
    pub(super) usage: Usage,
    /// The model that gave the answer.
    pub(super) by: Arc<str>,
    /// What others are to know.
    pub(super) notes: Map<String, Value>,
}

impl Gateway {
    /// Asks until there is an answer. What was used up is told even of a failure.
    pub(super) async fn think(self: Arc<Self>, thought: Thought, call: &Call) -> Result<Finished, Fault> {
        let (mut used, mut has_acted) = (Usage::default(), false);
        let result = self.turns(thought, call, &mut used, &mut has_acted).await;
        result.map_err(|fault| if has_acted { half_done(fault).spent(used) } else { fault.spent(used) })
    }

    async fn turns(
        self: Arc<Self>,
        thought: Thought,
        call: &Call,
        used: &mut Usage,
        has_acted: &mut bool,
    ) -> Result<Finished, Fault> {
        let Thought { mut chain, mut chat, toolbox, turns, allowance } = thought;
        let allowance = call.limits.allowance.and(allowance);
        let mut is_repaired = false;
        for turn in 1..=turns {
            let left = allowance.less(*used);
            if let Some(what) = left.spent() {
                return Err(spent(what, *used));
            }
            if let Some(progress) = call.progress.as_ref().filter(|_| !chat.tools.is_empty()) {
                progress.report(f64::from(turn - 1), Some(f64::from(turns)), Some("asking the model"));
            }
            let (answer, by) = self.ask_chain(&mut chain, &mut chat, left, call).await?;
            *used += answer.usage;
            if !answer.calls.is_empty() {
                let left = allowance.less(*used);
                *has_acted |= !toolbox.only_reads(&answer.calls);
                let (spent, results) = self.use_tools(&toolbox, &answer.calls, left, call).await;
                *used += spent;
                chat.messages.push(Message::Assistant { text: answer.text, calls: answer.calls });
                chat.messages.push(Message::Results(results?));
                continue;
            }
            match judge(&chat, &answer, left) {
                Ok(value) => {
                    return Ok(Finished { value, usage: *used, by, notes: toolbox.into_notes() });
                }
                Err(Unfit::Final(fault)) => return Err(fault.server(by.as_ref())),
                Err(Unfit::Repairable(why)) if is_repaired => return Err(unfit(&why, &answer).server(by.as_ref())),
                Err(Unfit::Repairable(why)) => {
                    is_repaired = true;
                    chat.messages.push(Message::Assistant { text: answer.text, calls: Vec::new() });
                    chat.messages.push(Message::User(complaint(&why)));
                }
            }
        }
        let message = format!("the model has had its {turns} turns and not given an answer; used: {used}");
        Err(Fault::new(Kind::Budget, code::LIMIT_SPENT, message).hint("raise `turns`, or give it less to do").sent())
    }

    /// Asks one model after the other. Those that could not answer are not asked again in this conversation.
    async fn ask_chain(
        &self,
        chain: &mut Vec<Arc<str>>,
        chat: &mut Chat,
        left: Allowance,
        call: &Call,
    ) -> Result<(Answer, Arc<str>), Fault> {
        loop {
            let Some(name) = chain.first().cloned() else { return Err(no_model()) };
            let price = self.registry().models.get(&name).map(|model| model.price).unwrap_or_default();
            let answer = match affordable(chat, price, left) {
                Err(fault) => Err(fault),
                Ok(most) => {
                    chat.max_tokens = most;
                    if *name == *SAMPLING {
                        sampling::ask(call.ask.as_ref(), chat).await
                    } else {
                        self.models().ask(&name, chat, call.limits).await
                    }
                }
            };
            match answer {
                Ok(answer) => return Ok((answer, name)),
                Err(fault) if chain.len() > 1 && fault.kind != Kind::Cancelled => {
                    tracing::info!(model = %name, next = %chain[1], %fault, "asking the next model");
                    chain.remove(0);
                }
                Err(fault) => return Err(fault),
            }
        }
    }

    /// The models that `named` stand for, each followed by what it falls back on, each once.
    pub(super) fn chain(&self, named: &[Arc<str>]) -> Result<Vec<Arc<str>>, Fault> {
        let mut chain: Vec<Arc<str>> = Vec::new();
        let mut waiting: Vec<Arc<str>> = named.iter().rev().cloned().collect();
        let mut unknown = None;
        while let Some(name) = waiting.pop() {
            if chain.contains(&name) {
                continue;
            }
            match self.models().get(&name) {
                Ok(model) => waiting.extend(model.fallback.iter().rev().cloned()),
                Err(_) if *name == *SAMPLING => {}
                // One that was left out for its mistakes does not keep the others from being asked.
                Err(fault) => {
                    unknown.get_or_insert(fault);
                    continue;
                }
            }
            chain.push(name);
        }
        if let Some(fault) = unknown.filter(|_| chain.is_empty()) {
            return Err(fault);
        }
        if !chain.is_empty() {
            return Ok(chain);
        }
        // Nobody said which: then there must be no choice.
        let registry = self.registry();
        let mut all = registry.models.keys();
        match (all.next(), all.next()) {
            (Some(only), None) => self.chain(&[Arc::clone(only)]),
            (None, _) => Ok(vec![Arc::from(SAMPLING)]),
            (Some(_), Some(_)) => Err(Fault::new(Kind::Invalid, code::NO_SUCH_MODEL, "there are several models")
                .hint("say which by `model` or `providers`")),
        }
    }

    /// `chain` with what costs least first, the host's model last.
    pub(super) fn cheapest_first(&self, mut chain: Vec<Arc<str>>) -> Vec<Arc<str>> {
        let price = |name: &Arc<str>| {
            let price = self.registry().models.get(name).map(|model| model.price);
            price.map_or(f64::INFINITY, |price| price.input + price.output)
        };
        chain.sort_by(|one, other| price(one).total_cmp(&price(other)));
        chain
    }
}

/// The longest answer, in tokens, that can be paid for once the question is; a fault if the question itself cannot.
fn affordable(chat: &Chat, price: Price, left: Allowance) -> Result<Option<u64>, Fault> {
    let asked = chat.estimate();
    let rest = left.less(Usage::of_model(asked, 0, Cost::of_tokens(asked, price.input)));
    if let Some(what @ ("tokens" | "cost")) = rest.spent() {
        let message = format!("the question alone, of about {asked} tokens, is more than is left of the {what}");
        return Err(
            Fault::new(Kind::Budget, code::LIMIT_SPENT, message).hint("raise `limits` or `budget`, or ask for less")
        );
    }
    let by_cost = rest.cost.filter(|_| price.output > 0.0).map(|cost| cost.tokens_at(price.output).max(1));
    Ok(match (rest.tokens, by_cost) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    })
}

/// Why an answer cannot be taken.
enum Unfit {
    /// The model may do better.
    Repairable(String),
    /// It may not.
    Final(Fault),
}

fn judge(chat: &Chat, answer: &Answer, left: Allowance) -> Result<Value, Unfit> {
    if answer.is_refusal {
        let message = format!("the model declined to answer: {}", bounded(&answer.text, 300));
        return Err(Unfit::Final(Fault::new(Kind::Rejected, code::MODEL_REFUSED, message)));
    }
    if let Some(what) = left.less(answer.usage).spent().filter(|what| answer.is_cut && *what != "calls") {
        return Err(Unfit::Final(spent(what, answer.usage)));
    }
    let Some(schema) = &chat.schema else {
        if answer.is_cut {
            tracing::warn!("the model's answer is cut off: it is longer than its `max_tokens`");
        }
        return Ok(Value::String(answer.text.clone()));
    };
    read(&answer.text, schema).map_err(|why| {
        let cut = if answer.is_cut { "; it was cut off, as it is longer than `max_tokens` allows" } else { "" };
        Unfit::Repairable(format!("{why}{cut}"))
    })
}

fn unfit(why: &str, answer: &Answer) -> Fault {
    let message =
        format!("the model's answer does not fit what is expected: {why}; it said {:?}", bounded(&answer.text, 300));
    Fault::new(Kind::ToolError, code::MODEL_UNFIT, message).hint("simplify `expect`, or ask another model")
}

/// Nothing is left of `what`.
pub(super) fn spent(what: &str, used: Usage) -> Fault {
    let message = format!("nothing is left of the {what} that may be used up; used: {used}");
    Fault::new(Kind::Budget, code::LIMIT_SPENT, message).hint("raise `limits` or `budget`")
}

fn no_model() -> Fault {
    Fault::new(Kind::NotFound, code::NO_SUCH_MODEL, "there is no model to be asked")
}
