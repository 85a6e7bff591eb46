//! Stable codes of problems and faults: what people search for, and what other programs match on.
//!
//! `MO1xxx` registry files, `MO2xxx` workflow files, `MO3xxx` advice, `MO4xxx` runs, `MO5xxx` calls.

use std::fmt;

/// A stable code such as `MO2001`. It never changes its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(&'static str);

impl Code {
    /// The code's text.
    pub fn as_str(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal;)+) => {
        $($(#[doc = $doc])+ pub const $name: Code = Code($text);)+
        /// Every code with its meaning, in order.
        pub const ALL: &[(Code, &str)] = &[$(($name, concat!($($doc, "\n"),+))),+];
    };
}

codes! {
    /// The file cannot be read.
    FILE_UNREADABLE = "MO1001";
    /// The file is not valid TOML, YAML or JSON.
    SYNTAX = "MO1002";
    /// A key that means nothing here.
    UNKNOWN_KEY = "MO1003";
    /// A value of the wrong type or form.
    WRONG_VALUE = "MO1004";
    /// Something that must be given is missing.
    MISSING = "MO1005";
    /// The same name is given twice.
    DUPLICATE = "MO1006";
    /// Two settings exclude each other.
    CONFLICT = "MO1007";
    /// A name that the registry does not know.
    UNKNOWN_NAME = "MO1008";
    /// A key of another client's file that has no meaning for us.
    IGNORED_KEY = "MO1009";
    /// A limit on size, depth or number is exceeded.
    TOO_LARGE = "MO1010";
    /// An orchestrator starts itself, as a server of its own.
    STARTS_ITSELF = "MO1011";
    /// A source names a server that it may not bring.
    FOUND_REFUSED = "MO1012";
    /// A source names a server whose name is taken.
    NAME_TAKEN = "MO1013";
    /// A setting has changed that counts only when the program is started.
    NEEDS_RESTART = "MO1014";

    /// A step names a server that the registry does not have.
    UNKNOWN_SERVER = "MO2001";
    /// A step names a tool that its server does not have.
    UNKNOWN_TOOL = "MO2002";
    /// Steps wait for each other in a circle.
    CYCLE = "MO2003";
    /// An expression names a step that does not exist.
    UNKNOWN_STEP = "MO2004";
    /// An expression names a step that stands further down.
    FORWARD_REFERENCE = "MO2005";
    /// An expression cannot be parsed.
    BAD_EXPRESSION = "MO2006";
    /// A required argument of a tool is missing.
    MISSING_ARGUMENT = "MO2007";
    /// An expression names an input that is not declared.
    UNKNOWN_INPUT = "MO2008";
    /// A step has no verb, or more than one.
    VERB = "MO2009";
    /// A step may be skipped, has no default, and is used without a guard.
    UNGUARDED = "MO2010";
    /// A schema is not valid JSON Schema.
    BAD_SCHEMA = "MO2011";
    /// A step names a workflow that does not exist.
    UNKNOWN_WORKFLOW = "MO2012";
    /// An expression names something that does not exist at this place.
    UNKNOWN_ROOT = "MO2013";
    /// The declared annotations claim more than the steps allow.
    ANNOTATIONS = "MO2014";
    /// A step names a model that the registry does not have.
    UNKNOWN_MODEL = "MO2021";
    /// A step names an agent that the registry does not have.
    UNKNOWN_AGENT = "MO2022";

    /// A plain scalar that YAML reads differently than it looks.
    AMBIGUOUS_SCALAR = "MO3001";
    /// A setting without effect.
    NO_EFFECT = "MO3002";
    /// A spelling of another orchestrator, read as ours.
    OTHER_SPELLING = "MO3003";

    /// The input does not fit the workflow's schema.
    BAD_INPUT = "MO4001";
    /// A step failed and nothing caught it.
    STEP_FAILED = "MO4002";
    /// An expression failed while the workflow ran.
    EXPRESSION_FAILED = "MO4003";
    /// A `for_each` was given something that is not a list.
    NOT_A_LIST = "MO4004";
    /// The workflow ended itself by `fail`.
    FAILED_BY_WORKFLOW = "MO4005";
    /// The run took longer than it may.
    RUN_TIMEOUT = "MO4006";
    /// Workflows call each other too deeply.
    TOO_DEEP = "MO4007";
    /// A run or one of its values grew beyond its bound.
    RUN_TOO_LARGE = "MO4008";
    /// The run was cancelled.
    RUN_CANCELLED = "MO4009";
    /// The output does not fit the workflow's schema.
    BAD_OUTPUT = "MO4010";
    /// The inline definition is wrong.
    BAD_DEFINITION = "MO4011";
    /// Too many runs at once.
    TOO_MANY_RUNS = "MO4012";
    /// Undoing what a failed run had done took longer than it may.
    UNDO_TIMEOUT = "MO4013";
    /// Fewer items of a `for_each`, or branches of a `parallel`, succeed than must.
    TOO_FEW = "MO4014";
    /// A `repeat` has had all its turns and not reached its end.
    REPEAT_EXHAUSTED = "MO4015";
    /// The branches of a `parallel` did not come together in time.
    JOIN_TIMEOUT = "MO4016";
    /// The result of a step is not what the step expects.
    UNEXPECTED = "MO4017";
    /// The budget of the workflow is spent.
    BUDGET_SPENT = "MO4021";
    /// Two steps have set the same part of the shared context at once.
    CONTEXT_CONFLICT = "MO4022";
    /// Nobody answered the question of an `ask` step in time.
    NOT_ANSWERED = "MO4031";
    /// The question of an `ask` step was answered with no.
    DECLINED = "MO4032";
    /// The answer to an `ask` step is not what was asked for.
    WRONG_ANSWER = "MO4033";
    /// An event that a step waits for did not come in time.
    NO_EVENT = "MO4034";
    /// The run waits for an answer that has to be given by `answer_run`.
    NEEDS_ANSWER = "MO4035";
    /// There is no such run, or none of this caller.
    NO_SUCH_RUN = "MO4036";
    /// Nobody knows whether a call was carried out before the program ended.
    IN_DOUBT = "MO4037";
    /// The run cannot be stored, and its workflow says `durability: always`.
    NOT_DURABLE = "MO4038";
    /// A stored run cannot be taken up again.
    NOT_RESUMABLE = "MO4039";
    /// The turn of a run would come too late.
    TOO_LATE = "MO4051";
    /// More calls of runs wait for their turn than may.
    TOO_MANY_CALLS = "MO4052";
    /// An idempotency key stands for another run.
    KEY_TAKEN = "MO4053";
    /// A run cannot be tried again.
    NOT_RETRYABLE = "MO4054";
    /// What carries the runs cannot be reached.
    BACKEND_DOWN = "MO4055";
    /// What a run passes on is larger than what carries it takes.
    PAYLOAD_TOO_LARGE = "MO4056";
    /// The program was built without what the registry wants runs to be carried by.
    NO_BACKEND = "MO4057";

    /// The server cannot be reached or has died.
    SERVER_DOWN = "MO5101";
    /// The server did not answer in time.
    CALL_TIMEOUT = "MO5102";
    /// The server's circuit breaker is open.
    BREAKER_OPEN = "MO5103";
    /// The server has too many calls in flight.
    SERVER_BUSY = "MO5104";
    /// The server's command cannot be started.
    SPAWN_FAILED = "MO5105";
    /// The server crashes each time it is started.
    CRASH_LOOP = "MO5106";
    /// The server's answer is not what the protocol allows.
    BAD_ANSWER = "MO5107";
    /// The server answered with a JSON-RPC error.
    SERVER_ERROR = "MO5108";
    /// The server demands authentication.
    AUTH_NEEDED = "MO5109";
    /// A variable of the server's settings has no value.
    UNSET_VARIABLE = "MO5110";
    /// The server is not of a version that the registry allows.
    WRONG_VERSION = "MO5111";
    /// The server has not answered its first request yet.
    SERVER_STARTING = "MO5112";
    /// The authorization at a server did not come about.
    AUTH_FAILED = "MO5113";
    /// There is no turn in time under the `rate_limit`, or the server has asked to be left alone.
    RATE_LIMIT = "MO5114";
    /// The level does not keep it while servers are missing.
    SET_ASIDE = "MO5120";
    /// There is no tool of this name.
    NO_SUCH_TOOL = "MO5201";
    /// There is no prompt of this name.
    NO_SUCH_PROMPT = "MO5202";
    /// No server has this resource.
    NO_SUCH_RESOURCE = "MO5203";
    /// There is no workflow of this name.
    NO_SUCH_WORKFLOW = "MO5204";
    /// There is no server of this name.
    NO_SUCH_SERVER = "MO5205";
    /// The request's parameters are wrong.
    BAD_REQUEST = "MO5206";
    /// There is no such task.
    NO_SUCH_TASK = "MO5207";
    /// A call comes back to where it has come from, through other orchestrators.
    LOOP = "MO5208";
    /// The operator has not allowed it.
    NOT_ALLOWED = "MO5209";
    /// An interceptor of the registry refuses the call or withholds its result.
    INTERCEPTED = "MO5210";
    /// An interceptor of the registry could not decide.
    HOOK_FAILED = "MO5211";
    /// A server offers something else than before, and a workflow no longer fits it.
    WORKFLOW_BROKEN = "MO5212";
    /// The program is shutting down.
    SHUTTING_DOWN = "MO5301";
    /// The model's API refused the request.
    MODEL_REFUSED = "MO5401";
    /// The model's answer is not what was asked for, even after it was told so.
    MODEL_UNFIT = "MO5402";
    /// There is no model of this name.
    NO_SUCH_MODEL = "MO5403";
    /// There is no agent of this name.
    NO_SUCH_AGENT = "MO5404";
    /// The call has used up its tokens, its money or its turns.
    LIMIT_SPENT = "MO5405";
    /// The host cannot be asked for a model's answer.
    NO_SAMPLING = "MO5406";
    /// An agent was called within itself.
    AGENT_CIRCLE = "MO5407";
    /// A source of servers does not answer, or not with servers.
    SOURCE_FAILED = "MO5501";
    /// A mistake of ours.
    INTERNAL = "MO5901";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_and_in_order() {
        assert!(ALL.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }
}
