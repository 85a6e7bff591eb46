//! The tables of keys.

use crate::workflow::vocabulary::Shape::{
    Boolean, Condition, Count, Duration, Either, Expression, Fields, List, Map, Pattern, Schema, Table, Text, Value,
    Words,
};
use crate::workflow::vocabulary::{Key, Kind, Shape};

const STEPS: Shape = List(&Table(Kind::Step), 1);
const STEP_OR_STEPS: Shape = Either(&[Table(Kind::NamedStep), STEPS]);
const KINDS: Shape = Words(&[
    "timeout",
    "unavailable",
    "rate_limited",
    "denied",
    "invalid",
    "not_found",
    "tool_error",
    "budget",
    "rejected",
    "in_doubt",
    "cancelled",
    "internal",
]);
const KINDS_OF_FAILURE: Shape = Either(&[KINDS, List(&KINDS, 0)]);
const ARGUMENTS: Shape = Either(&[Map(&Value), Expression]);
const NAME: Shape = Pattern("^[A-Za-z][A-Za-z0-9_-]{0,63}$");
const ID: Shape = Pattern("^[a-z][a-z0-9_]{0,63}$");
const TOOL: Shape = Pattern(r"^[A-Za-z0-9_][A-Za-z0-9_-]{0,63}\.\S+$");
const EVENT: Shape = Pattern("^[A-Za-z][A-Za-z0-9_.-]{0,127}$");
const PROVIDERS: Shape = Either(&[Text, List(&Text, 0)]);
/// A number with or without `k` or `m`.
const AMOUNT: Shape = Either(&[Count(0, u64::MAX), Pattern("^([0-9]+|[0-9]+(\\.[0-9]+)?[kKmM])$")]);
const MAX_ITEMS: u64 = 10_000;

const fn key(name: &'static str, shape: Shape, about: &'static str) -> Key {
    Key { name, shape, about, is_required: false }
}

const fn must(name: &'static str, shape: Shape, about: &'static str) -> Key {
    Key { is_required: true, ..key(name, shape, about) }
}

/// The keys of a kind of table, in canonical order.
pub(super) fn of(kind: Kind) -> &'static [Key] {
    match kind {
        Kind::Workflow => &WORKFLOW,
        Kind::Step | Kind::NamedStep => &STEP,
        Kind::Annotations => &ANNOTATIONS,
        Kind::Join => &JOIN,
        Kind::Retry => &RETRY,
        Kind::Repeat => &REPEAT,
        Kind::Fallback => &FALLBACK,
        Kind::Catch => &CATCH,
        Kind::Case => &CASE,
        Kind::Otherwise => &OTHERWISE,
        Kind::Wait => &WAIT,
        Kind::Limits => &LIMITS,
        Kind::Budget => &BUDGET,
        Kind::Guards => &GUARDS,
        Kind::Trigger => &TRIGGER,
        Kind::Verify => &VERIFY,
        Kind::Cache => &CACHE,
        Kind::Check => &CHECK,
    }
}

static WORKFLOW: [Key; 19] = [
    must("name", NAME, "The name of the tool that the workflow becomes."),
    key("version", Text, "For people."),
    key("title", Text, "A short name for people."),
    key("description", Text, "What it is for: what models read before they call it."),
    key("annotations", Table(Kind::Annotations), "Claims about the tool, no stronger than what its steps allow."),
    key("order", Words(&["written", "data"]), "`data`: only references order the steps, not their place."),
    key("timeout", Duration, "The longest a run may take."),
    key("deadline", Duration, "How long after it was wanted the run is of no use any more."),
    key("priority", Words(&["low", "normal", "high", "critical"]), "How urgent a run is."),
    key("budget", Table(Kind::Budget), "How much a run may use up."),
    key("durability", Words(&["auto", "always", "none"]), "How sure it is that a run survives the program."),
    key("idempotency_key", Value, "Makes a run that is wanted twice the same run; sees `input`."),
    key("guards", Table(Kind::Guards), "What is to be done about its data."),
    key(
        "triggers",
        Either(&[List(&Table(Kind::Trigger), 0), Table(Kind::Trigger)]),
        "What sets it off, beside being called.",
    ),
    key(
        "input",
        Fields,
        "Its arguments: `name: type`, or `name: { type, default, optional, description }`, or a JSON Schema.",
    ),
    key("output_schema", Schema, "A schema that the output must fit."),
    must("steps", STEPS, "What it does, from top to bottom; steps that only read may run side by side."),
    key("output", Value, "What the tool returns; without it, the output of the last step."),
    key(
        "on_failure",
        Either(&[Words(&["undo"]), STEP_OR_STEPS]),
        "A step or a list of steps for a run that has failed; sees `input`, `run` and `error`.",
    ),
];

static STEP: [Key; 52] = [
    must("id", ID, "Its name; later steps use its output as `$steps.ID.output`."),
    key("tool", TOOL, "Calls a tool: `server.tool`."),
    key("workflow", NAME, "Runs another workflow, with `args` as its input."),
    key("llm", Value, "Asks a model: the prompt."),
    key("agent", Text, "Gives a task to an agent: its name, or what it has to be good at."),
    key("ask", Value, "Asks a person: the question."),
    key("emit", EVENT, "Tells whoever waits for it that something has happened: the name of the event."),
    key("await", EVENT, "Waits until something has happened: the name of the event."),
    key("set", Value, "Computes a value."),
    key("wait", Either(&[Duration, Expression, Table(Kind::Wait)]), "Lets time pass."),
    key("fail", Value, "Ends in failure with this message."),
    key("return", Value, "Ends the whole run with this output."),
    key("args", ARGUMENTS, "The arguments of the tool or workflow."),
    key("detach", Boolean, "Nobody waits for the end of the workflow; the output is the id of its run."),
    key("providers", PROVIDERS, "Who is to do it, in order: models, or servers that can do the job."),
    key("system", Value, "What the model is told before the prompt."),
    key("model", Value, "Which model."),
    key("tools", List(&Text, 0), "The tools that the model may use."),
    key("task", Value, "What the agent is to do."),
    key("context", Value, "What the agent is told beside the task, or a list of names of what agents share."),
    key("answer", Fields, "The form of the answer; without it, the question is whether somebody agrees."),
    key("to", Pattern("^(caller|role:[A-Za-z0-9_-]+)$"), "Who is to answer."),
    key("data", Value, "What is to be known about the event."),
    key("where", Condition, "Only an event for which this holds; sees `event`."),
    key("when", Condition, "The step is skipped if this does not hold."),
    key("after", List(&ID, 0), "The steps that it waits for, in place of the written order."),
    key("for_each", Either(&[List(&Value, 0), Expression]), "Once for each item of a list."),
    key("as", ID, "The name of the item in expressions; `item` if not given."),
    key("concurrency", Count(1, 1_000), "How many items run at once; 8 if not given."),
    key("batch", Count(1, MAX_ITEMS), "So many items are over before the next begin."),
    key("on_error", Words(&["fail", "skip", "collect"]), "What a failed item does."),
    key("at_least", Count(1, MAX_ITEMS), "How many items must succeed."),
    key(
        "effect",
        Words(&["read", "idempotent", "write", "destructive"]),
        "What the step may do, where annotations are wrong.",
    ),
    key("timeout", Duration, "The longest one attempt may take."),
    key("retry", Either(&[Count(1, 100), Table(Kind::Retry)]), "How often it is tried."),
    key("idempotency_key", Value, "Makes a call that is repeated the same call, for servers that honour it."),
    key(
        "in_doubt",
        Words(&["ask", "check", "fail", "retry"]),
        "What becomes of a call that may have been carried out before a crash.",
    ),
    key("check", Table(Kind::Check), "The tool that `in_doubt: check` asks whether it was carried out."),
    key("limits", Table(Kind::Limits), "How much each attempt may use up."),
    key("cache", Either(&[Duration, Table(Kind::Cache)]), "For how long its result stands in for doing it again."),
    key("repeat", Table(Kind::Repeat), "Again and again until something holds."),
    key("expect", Either(&[Schema, Condition]), "A schema or a condition that the `result` must fit."),
    key("output", Value, "Makes the output from `result`."),
    key("optional", Boolean, "A failure skips the step."),
    key("default", Value, "The output of the step if it is skipped."),
    key("parallel", Map(&STEP_OR_STEPS), "Runs branches side by side; the output is an object by branch."),
    key("join", Either(&[Words(&["all", "any", "first"]), Table(Kind::Join)]), "How many branches must succeed."),
    key("switch", List(&Either(&[Table(Kind::Case), Table(Kind::Otherwise)]), 1), "Runs the first case that holds."),
    key("steps", STEPS, "Runs steps as one."),
    key("fallback", List(&Table(Kind::Fallback), 0), "What is tried, in order, when every attempt has failed."),
    key("catch", List(&Table(Kind::Catch), 0), "What is done about a failure; the first that matches counts."),
    key("undo", STEP_OR_STEPS, "Takes back what the step has done, should the run fail later; sees `result`."),
];

static ANNOTATIONS: [Key; 5] = [
    key("title", Text, "A short name for people."),
    key("readOnlyHint", Boolean, "It changes nothing."),
    key("destructiveHint", Boolean, "It may destroy something."),
    key("idempotentHint", Boolean, "Doing it twice is doing it once."),
    key("openWorldHint", Boolean, "It deals with a world that nobody can know in full."),
];

static JOIN: [Key; 3] = [
    must("quorum", Count(1, u64::MAX), "How many branches must succeed."),
    key("within", Duration, "How long they have."),
    key("cancel_rest", Boolean, "Whether the others are cancelled then; they are if not given."),
];

static RETRY: [Key; 6] = [
    key("attempts", Count(1, 100), "How often it is tried, the first time included."),
    key("delay", Duration, "The first pause."),
    key("max_delay", Duration, "The longest pause."),
    key("backoff", Words(&["fixed", "linear", "exponential"]), "How pauses grow."),
    key("jitter", Words(&["none", "full"]), "Whether pauses are shortened at random."),
    key("on", KINDS_OF_FAILURE, "For which kinds of failure; the passing ones if not given."),
];

static REPEAT: [Key; 4] = [
    key("until", Condition, "It is over as soon as this holds; sees `result`."),
    key("while", Condition, "It is over as soon as this does not hold; sees `result`."),
    key("every", Duration, "The pause between two turns."),
    must("max", Count(1, MAX_ITEMS), "How many turns there may be."),
];

static FALLBACK: [Key; 5] = [
    key("tool", TOOL, "Another tool."),
    key("workflow", NAME, "A workflow."),
    key("args", ARGUMENTS, "Its arguments; the step's own if not given."),
    key("cached", Duration, "Its last result, unless it is older than this."),
    key("value", Value, "A value in place of the result."),
];

static CATCH: [Key; 4] = [
    key("on", KINDS_OF_FAILURE, "For which kinds of failure; all if not given."),
    key("when", Condition, "Only if this holds; sees `error`."),
    key("value", Value, "A value in place of the output; sees `error`."),
    key("steps", STEPS, "Steps that run; they see `error`."),
];

static CASE: [Key; 2] = [must("when", Condition, "The condition."), must("steps", STEPS, "What is done if it holds.")];

static OTHERWISE: [Key; 1] = [must("else", STEPS, "What is done if no condition holds.")];

static WAIT: [Key; 1] = [must("until", Value, "A point in time: `2027-01-31T08:00:00Z`, or milliseconds since 1970.")];

static LIMITS: [Key; 4] = [
    key("tokens", AMOUNT, "Tokens, those of the prompt and of the answer together."),
    key("cost", Value, "Money, in the currency of the models' prices."),
    key("calls", Count(0, u64::MAX), "Calls of models and tools."),
    key("turns", Count(1, 1_000), "How often a model may be asked."),
];

static BUDGET: [Key; 5] = [
    key("time", Duration, "Time."),
    key("tokens", AMOUNT, "Tokens."),
    key("cost", Value, "Money, in the currency of the models' prices."),
    key("calls", Count(0, u64::MAX), "Calls of models and tools."),
    key("on_exceed", Words(&["fail", "degrade"]), "`degrade` saves what is left for steps that are not optional."),
];

static GUARDS: [Key; 3] = [
    key("pii", Words(&["redact", "allow"]), "Whether what tells of persons is taken out of what is recorded."),
    key("retention", Duration, "How long what is recorded is kept."),
    key("encrypt", Boolean, "Whether what is recorded is encrypted."),
];

static TRIGGER: [Key; 12] = [
    key("cron", Text, "At these points in time: minute, hour, day, month, weekday."),
    key("timezone", Text, "Where the clock of `cron` stands, for example `Europe/Berlin`."),
    key("missed", Words(&["once", "skip", "all"]), "What becomes of points in time at which the program did not run."),
    key("webhook", Pattern("^/"), "When somebody posts to this path."),
    key("verify", Table(Kind::Verify), "How it is made sure who posts."),
    key("file", Text, "When a file appears or changes: a path with `*`."),
    key("mcp", Pattern(r"^[^.]+\..+$"), "When a server tells of something: `server.notification`."),
    key("uri", Text, "Only of this resource, for `mcp`."),
    key("event", EVENT, "When a run emits this event."),
    key("when", Condition, "Only if this holds; sees `trigger`."),
    key("input", Value, "The input of the run; sees `trigger`."),
    key("overlap", Words(&["queue", "skip", "cancel_previous", "parallel"]), "While an earlier run still goes on."),
];

static VERIFY: [Key; 1] = [key("hmac", Text, "The name of the secret that signs what is posted.")];

static CHECK: [Key; 2] =
    [must("tool", TOOL, "A tool that finds what was done."), key("args", ARGUMENTS, "Its arguments.")];

static CACHE: [Key; 4] = [
    must("ttl", Duration, "How old the result may be."),
    key("key", Value, "What the result was made from; the arguments if not given."),
    key("scope", Words(&["caller", "shared"]), "Whether every caller may have it."),
    key("stale_if_error", Duration, "How old it may be if the step fails."),
];
