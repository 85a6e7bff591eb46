//! How our own tools are described to models.

use serde_json::{Value, json};

use crate::gateway::builtin::Builtin;

/// The definition of a tool of our own.
pub(super) fn describe(builtin: Builtin) -> Value {
    match builtin {
        Builtin::RunWorkflow => describe_run(builtin),
        Builtin::Validate => json!({
            "name": builtin.name(),
            "title": "Check a workflow",
            "description": "Checks a workflow definition as run_workflow would, and runs nothing: every mistake with its line, \
                and where there is only one way to correct it, the patch (bytes of the text to replace).",
            "inputSchema": {
                "type": "object",
                "properties": {
                    "definition": { "type": ["object", "string"], "description": "The definition; text keeps its lines." },
                },
                "required": ["definition"],
                "additionalProperties": false,
            },
            "annotations": { "readOnlyHint": true },
        }),
        Builtin::ListWorkflows => json!({
            "name": builtin.name(),
            "title": "List workflows",
            "description": "Lists the workflows with their input schemas. Each is also a tool of its own.",
            "inputSchema": {
                "type": "object",
                "properties": { "query": { "type": "string", "description": "Only those whose name or description has this." } },
                "additionalProperties": false,
            },
            "annotations": { "readOnlyHint": true },
        }),
        Builtin::Reload | Builtin::Save => describe_files(builtin),
        Builtin::GetRun | Builtin::AnswerRun | Builtin::ControlRun => describe_control(builtin),
        Builtin::SetLevel => describe_level(),
        Builtin::Status => json!({
            "name": builtin.name(),
            "title": "Status of the servers",
            "description": "Says how every server behind this one does: whether it is connected, what went wrong last, and \
                what to do about it.",
            "inputSchema": {
                "type": "object",
                "properties": { "server": { "type": "string", "description": "Only this server." } },
                "additionalProperties": false,
            },
            "annotations": { "readOnlyHint": true },
        }),
    }
}

/// The definition of the tool that runs workflows.
fn describe_run(builtin: Builtin) -> Value {
    json!({
        "name": builtin.name(),
        "title": "Run a workflow",
        "description": "Runs a workflow and waits for its end: one of list_workflows by `workflow`, or one that you \
            write yourself as `definition` (an object, or YAML text). A definition has `name`, optionally `input`, \
            `steps` and `output`; a step has an `id` and one verb, e.g. {\"id\": \"found\", \"tool\": \"server.tool\", \
            \"args\": {\"q\": \"$input.q\"}}. `$steps.found.output.x` refers to a result. Steps that only read run in \
            parallel, writes keep their order. Use it to make many calls in one; intermediate results stay out of \
            your context. With `dry_run` nothing is called and the plan is returned.",
        "inputSchema": {
            "type": "object",
            "properties": {
                "workflow": { "type": "string", "description": "The name of a workflow." },
                "definition": {
                    "type": ["object", "string"],
                    "description": "A whole workflow instead of a name.",
                },
                "input": { "type": "object", "description": "The workflow's input." },
                "dry_run": { "type": "boolean", "description": "Only show what would be done." },
                "wait": {
                    "type": "boolean",
                    "default": true,
                    "description": "With false the run goes on by itself, and the answer has its run_id for get_run.",
                },
                "timeout_ms": { "type": "integer", "minimum": 1, "description": "The longest the run may take." },
                "idempotency_key": {
                    "type": "string",
                    "description": "The same key is the same run: one that goes on is joined, one that has completed \
                        answers at once. It stands for one workflow and one input.",
                },
                "deadline": {
                    "type": "string",
                    "description": "When the run is of no use any more: `90s` from now, or `2027-01-31T08:00:00Z`.",
                },
                "priority": {
                    "type": "string",
                    "enum": ["low", "normal", "high", "critical"],
                    "description": "How urgent it is when runs or their calls have to wait for each other.",
                },
            },
            "additionalProperties": false,
        },
        "annotations": { "readOnlyHint": false, "destructiveHint": true, "idempotentHint": false },
    })
}

/// The definition of a tool for the files.
fn describe_files(builtin: Builtin) -> Value {
    match builtin {
        Builtin::Reload => json!({
            "name": builtin.name(),
            "title": "Read the configuration anew",
            "description": "Reads the registry and the workflow files anew, as happens by itself when they change. Says which \
                servers and workflows are others now, or what is wrong with the files: then what was read before is kept.",
            "inputSchema": { "type": "object", "properties": {}, "additionalProperties": false },
            "annotations": { "readOnlyHint": false, "destructiveHint": false, "idempotentHint": true },
        }),
        _ => json!({
            "name": builtin.name(),
            "title": "Save a workflow",
            "description": "Saves a workflow definition, checked as by validate_workflow, as a file: from then on it is a tool of \
                its own, also after a restart.",
            "inputSchema": {
                "type": "object",
                "properties": {
                    "definition": { "type": ["object", "string"], "description": "The whole workflow." },
                    "replace": { "type": "boolean", "description": "Take the place of a saved one with this name." },
                },
                "required": ["definition"],
                "additionalProperties": false,
            },
            "annotations": { "readOnlyHint": false, "destructiveHint": true, "idempotentHint": true },
        }),
    }
}

/// The definition of a tool for runs that go on.
fn describe_control(builtin: Builtin) -> Value {
    match builtin {
        Builtin::GetRun => json!({
            "name": builtin.name(),
            "title": "Look at a run",
            "description": "Shows how a run does: its status, its steps, what it asks, its output. Without `run_id` it lists \
                your runs that go on.",
            "inputSchema": {
                "type": "object",
                "properties": {
                    "run_id": { "type": "string", "description": "The run." },
                    "wait_ms": { "type": "integer", "minimum": 0, "description": "Wait so long for its end." },
                },
                "additionalProperties": false,
            },
            "annotations": { "readOnlyHint": true },
        }),
        Builtin::AnswerRun => json!({
            "name": builtin.name(),
            "title": "Answer a run",
            "description": "Answers the question of a run whose status is `waiting`, and waits until it has ended or asks \
                again. Ask your user first: the question is for a person.",
            "inputSchema": {
                "type": "object",
                "properties": {
                    "run_id": { "type": "string", "description": "The run." },
                    "step": { "type": "string", "description": "The step that asks, if several do." },
                    "answer": { "description": "The answer, as the question's answer_schema says; true or false where it has none." },
                    "decline": { "type": "boolean", "description": "Say no instead." },
                    "reason": { "type": "string", "description": "Why not." },
                    "wait_ms": { "type": "integer", "minimum": 0, "description": "Wait no longer than this." },
                },
                "required": ["run_id"],
                "additionalProperties": false,
            },
            "annotations": { "readOnlyHint": false, "destructiveHint": true, "idempotentHint": false },
        }),
        _ => describe_actions(builtin),
    }
}

/// The definition of the tool that says what is to become of a run.
fn describe_actions(builtin: Builtin) -> Value {
    json!({
        "name": builtin.name(),
        "title": "Control a run",
        "description": "Cancels a run (what it has done is undone where the workflow says how); retries one that has \
            failed, as a new run that takes over what was done; resumes one that an earlier process has left; approves or \
            rejects what it asks (ask your user first); signals an event to a step that awaits it. Of a run whose status is `paused` nobody knows whether a call was carried out before the \
            program ended: look with the server's own tools, then `decide`.",
        "inputSchema": {
            "type": "object",
            "properties": {
                "run_id": { "type": "string", "description": "The run." },
                "action": {
                    "type": "string",
                    "enum": ["cancel", "resume", "retry", "approve", "reject", "signal", "decide"],
                },
                "event": { "type": "string", "description": "The event's name, for `signal`." },
                "data": { "description": "What is known about the event, for `signal`." },
                "step": { "type": "string", "description": "The step that asks or is in doubt, if several are." },
                "payload": {
                    "description": "For `decide`: {\"it_happened\": RESULT}, \"retry\" or \"fail\". For `approve`: the \
                        answer. For `reject`: why. For `retry`: \"retry\" to do again what is in doubt.",
                },
            },
            "required": ["run_id", "action"],
            "additionalProperties": false,
        },
        "annotations": { "readOnlyHint": false, "destructiveHint": true, "idempotentHint": true },
    })
}

/// The definition of the tool that sets the level.
fn describe_level() -> Value {
    json!({
            "name": Builtin::SetLevel.name(),
            "title": "Set the level",
            "description": "Sets how much goes on: `normal` is everything, `reduced` and `minimal` keep what the registry says, \
                `auto` lets the health of the required servers decide again. Only on your user's word.",
            "inputSchema": {
                "type": "object",
                "properties": {
                    "level": { "type": "string", "enum": ["auto", "normal", "reduced", "minimal"] },
                },
                "required": ["level"],
                "additionalProperties": false,
            },
            "annotations": { "readOnlyHint": false, "destructiveHint": true, "idempotentHint": true },
    })
}
