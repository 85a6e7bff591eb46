//! Models and agents as files have them, right and wrong.

use super::*;
use crate::model::problem::{Problem, Source};
use crate::registry::agent::{Work, able};
use crate::registry::load::load;
use crate::registry::server::Registry;

fn load_toml(text: &str) -> (Registry, Vec<String>) {
    let (registry, problems) = load(&[Source::new("r.toml", text)]);
    (registry, problems.iter().map(Problem::to_string).collect())
}

const FULL: &str = r#"
[models.careful]
api = "anthropic"
key = "${ANTHROPIC_API_KEY}"
model = "claude-x"
aliases = { fast = "claude-small" }
max_tokens = 8000
temperature = 0.2
timeout = "5m"
concurrency = 4
retry = { attempts = 5, delay = "2s" }
price = { input = 3.00, output = 15 }
stream = false
fallback = ["local", "sampling"]

[models.local]
api = "openai"
url = "http://localhost:11434/v1"
model = "llama"

[agents.critic]
description = "Judges."
instructions = "You judge."
models = ["careful", "sampling"]
tools = ["shop.get_*"]
capabilities = ["review"]
max_turns = 5
max_concurrency = 2
priority = 10
effect = "read"
timeout = "1m"
limits = { tokens = "20k", cost = 0.50 }

[agents.outsider]
tool = "shop.ask"
capabilities = ["review"]

[servers.shop]
command = "shop"
"#;

#[test]
fn models_and_agents_are_read_with_their_defaults() {
    let (registry, problems) = load_toml(FULL);
    assert_eq!(problems, Vec::<String>::new());
    let careful = &registry.models["careful"];
    assert_eq!((careful.api, careful.url.as_written()), (Api::Anthropic, "https://api.anthropic.com"));
    assert_eq!((careful.max_tokens, careful.retry.attempts, careful.stream), (8_000, 5, false));
    assert_eq!(careful.usage(1_000_000, 1_000_000).cost, Cost::of(18.0));
    assert_eq!(careful.fallback.iter().map(AsRef::as_ref).collect::<Vec<_>>(), ["local", "sampling"]);
    let local = &registry.models["local"];
    assert_eq!((local.max_tokens, local.concurrency, local.timeout), (4_096, 8, Duration::from_mins(2)));
    let critic = &registry.agents["critic"];
    let Work::Model(thinker) = &critic.work else { panic!("a model") };
    assert_eq!(
        (thinker.max_turns, thinker.allowance.tokens, thinker.allowance.cost),
        (5, Some(20_000), Some(Cost::of(0.5)))
    );
    assert!(thinker.tools.matches("shop.get_price") && !thinker.tools.matches("shop.buy"));
    let able: Vec<_> = able(&registry.agents, "review").iter().map(|agent| agent.name.to_string()).collect();
    assert_eq!(able, ["critic", "outsider"], "the lower priority number first");
}

#[test]
fn everything_that_is_wrong_with_models_is_told_at_its_place() {
    let (registry, problems) = load_toml(
        r#"
[models.a]
api = "opena"
model = "x"
[models.b]
api = "openai"
url = "ftp://x"
modle = "x"
[models.c]
model = "x"
temperature = 9
price = { in = 1 }
[models.d]
api = "openai"
model = "x"
key = "${"
fallback = ["e", "a"]
[models.sampling]
api = "openai"
[models.ok]
api = "openai"
model = "x"
fallback = ["pale", "a"]
"#,
    );
    assert_eq!(registry.models.keys().map(AsRef::as_ref).collect::<Vec<_>>(), ["ok"]);
    assert_eq!(
        problems,
        [
            "r.toml:3:7: error[MO1004]: `models.a.api` must be one of `openai`, `anthropic`, not `opena`; did you mean `openai`?",
            "r.toml:5:1: error[MO1005]: `models.b` needs `model`",
            "r.toml:7:7: error[MO1004]: `models.b.url` is no URL of http or https; for example `http://localhost:11434/v1`, \
             or a placeholder such as `${URL}`",
            "r.toml:8:1: error[MO1003]: unknown key `modle` in `models.b`; did you mean `model`?",
            "r.toml:9:1: error[MO1005]: `models.c` needs `api`",
            "r.toml:11:15: error[MO1004]: `models.c.temperature` must be a number from 0 to 2, not 9",
            "r.toml:12:11: error[MO1003]: unknown key `in` in `models.c.price`; known keys here: `input`, `output`",
            "r.toml:16:7: error[MO1004]: `models.d.key`: a `${` without a `}`; close it, or write `$${` for a literal `${`",
            "r.toml:17:13: error[MO1008]: there is no model `e`",
            "r.toml:18:9: error[MO1004]: `sampling` cannot be a model's name; use 1 to 64 of `A-Z a-z 0-9 _ -`; `sampling` is \
             the host's model",
            "r.toml:23:13: error[MO1008]: there is no model `pale`",
        ]
    );
}

#[test]
fn everything_that_is_wrong_with_agents_is_told_at_its_place() {
    let (registry, problems) = load_toml(
        r#"
[agents.a]
models = ["fast"]
[agents.b]
tool = "shop.ask"
instructions = "x"
[agents.c]
tool = "ask"
[agents."d e"]
instructions = "x"
[agents.g]
instructions = "x"
tools = ["shpo.find", "web.*", "agent.a", "*.get_*"]
[agents.f]
instructions = "x"
tools = "shop.*"
limits = { tokens = "lots" }
effect = "reads"
"#,
    );
    assert_eq!(registry.agents.keys().map(AsRef::as_ref).collect::<Vec<_>>(), ["g"]);
    assert_eq!(
        problems,
        [
            "r.toml:2:1: error[MO1005]: `agents.a` needs `instructions`",
            "r.toml:3:11: error[MO1008]: there is no model `fast`",
            "r.toml:5:8: error[MO1008]: there is no server `shop`",
            "r.toml:6:1: error[MO1007]: `agents.b.instructions` does not go with `tool`: the tool does the agent's work; keep \
             one of the two",
            "r.toml:8:8: error[MO1004]: `ask` is no tool; write `server.tool`",
            "r.toml:9:9: error[MO1004]: `d e` cannot be an agent's name; use 1 to 64 of `A-Z a-z 0-9 _ -`",
            "r.toml:13:10: error[MO1008]: there is no server `shpo`",
            "r.toml:13:23: error[MO1008]: there is no server `web`",
            "r.toml:16:9: error[MO1004]: `agents.f.tools` must be a list of text, not text; put it in brackets",
            "r.toml:17:21: error[MO1004]: `agents.f.limits.tokens` must be an amount, not `lots`; for example `2000`, `400k`, `1.5m`",
            "r.toml:18:10: error[MO1004]: `agents.f.effect` must be one of `read`, `idempotent`, `write`, `destructive`, not \
             `reads`; did you mean `read`?",
        ]
    );
}
