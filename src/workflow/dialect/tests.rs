//! Files of other orchestrators, as they are.

use serde_json::json;

use crate::document::format::Format;
use crate::model::problem::{Problem, Source};
use crate::workflow::authored::drafts;
use crate::workflow::conduct::Source as Trigger;
use crate::workflow::definition::{Step, Workflow};
use crate::workflow::modifier::Fallback;
use crate::workflow::verb::Verb;

/// The workflows of a file without errors, and what was told of it.
fn read(text: &str, format: Format) -> (Vec<Workflow>, Vec<String>) {
    let (workflows, problems) = drafts(&Source::new("file", text), format);
    let problems: Vec<_> = problems.iter().map(|problem| (problem.is_error(), Problem::to_string(problem))).collect();
    assert!(problems.iter().all(|(is_error, _)| !is_error), "{problems:#?}");
    (workflows, problems.into_iter().map(|(_, text)| text).collect())
}

fn one(text: &str) -> (Workflow, Vec<String>) {
    let (mut workflows, notes) = read(text, Format::Yaml);
    assert_eq!(workflows.len(), 1);
    (workflows.remove(0), notes)
}

fn tool(step: &Step) -> String {
    match &step.verb {
        Verb::Tool { tool, .. } => tool.to_string(),
        other => panic!("no tool: {other:?}"),
    }
}

const COACHED: &str = r#"
name: send_coached_sms
version: "1.0.0"
description: "Send SMS with coach context"
timeout: 180000

steps:
  - name: get_contact
    mcp: google-workspace
    action: get_contact
    params:
      phone: $input.phone
    timeout: 15000
    retries: 2

  - name: get_coach_info
    mcp: main-platform
    action: get_coach
    params:
      coach_id: $input.coach_id
    parallel: true

  - name: send_sms
    mcp: textbee
    action: send
    params:
      to: $steps.get_contact.result.phone
      from: $steps.get_coach_info.result.phone
      message: $input.message
    dependsOn: [get_contact, get_coach_info]
    compensation:
      action: send_cancellation_notice
      params:
        to: $steps.get_contact.result.phone
        message: "Previous message cancelled"
"#;

#[test]
fn steps_of_mcp_and_action_with_a_compensation() {
    let (workflow, notes) = one(COACHED);
    let steps = &workflow.body.steps;
    assert_eq!(
        steps.iter().map(tool).collect::<Vec<_>>(),
        ["google-workspace.get_contact", "main-platform.get_coach", "textbee.send"]
    );
    assert_eq!((&*steps[2].id, steps[0].timeout.map(|timeout| timeout.as_secs())), ("send_sms", Some(15)));
    assert_eq!(steps[0].retry.as_ref().map(|retry| retry.policy.attempts), Some(3), "the first time counts, too");
    let after: Vec<_> = steps[2].after.iter().flatten().map(AsRef::as_ref).collect();
    assert_eq!(after, ["get_contact", "get_coach_info"]);
    let undo = steps[2].undo.as_ref().expect("an undo");
    assert_eq!(tool(&undo.steps[0]), "textbee.send_cancellation_notice");
    assert_eq!(workflow.input_schema["required"], json!(["coach_id", "message", "phone"]), "what is used is declared");
    assert!(notes.iter().any(|note| note.contains("`mcp` with `action` is read as `tool: server.tool`")), "{notes:#?}");
    assert!(notes.iter().any(|note| note.contains("`parallel` is left out")), "{notes:#?}");
    assert_eq!(notes.iter().filter(|note| note.contains("`params`")).count(), 1, "each is told once");
}

#[test]
fn a_condition_and_a_compensation_of_another_server() {
    let text = "
name: premium
steps:
  - name: create_user
    mcp: main-platform
    action: create_user
    params: { email: $input.email }
    compensation:
      mcp: accounts
      action: delete_user
      params: { user_id: $steps.create_user.result.id }
  - name: premium_feature
    mcp: premium-service
    action: enable_feature
    condition: $steps.create_user.result.is_premium
    dependsOn: [create_user]
";
    let (workflow, _) = one(text);
    let undo = workflow.body.steps[0].undo.as_ref().expect("an undo");
    assert_eq!(tool(&undo.steps[0]), "accounts.delete_user");
    let when = workflow.body.steps[1].when.as_ref().expect("a condition");
    assert!(when.source().contains("steps.create_user.result.is_premium"));
}

const COACH: &str = r#"
name: Bilingual Coach Workflow
description: AI-powered speech coaching with STT→NLU→MT→TTS pipeline
version: 1.0.0

trigger:
  event: app.coach.session.start
  payload:
    userId: string
    sessionId: string
    targetLanguage: string
    sourceLanguage: string
    audioData?: string
    textInput?: string

steps:
  - name: speech_to_text
    description: Convert audio to text using STT service
    tool: stt.transcribe
    provider: openrouter|gemini|integration-app
    config:
      fallback: integration-app.stt.local
      timeout: 12000
      language: "${trigger.payload.sourceLanguage}"
    input:
      audioData: "${trigger.payload.audioData}"
      language: "${trigger.payload.sourceLanguage}"
    output:
      text: string
      confidence: number
      segments: array

  - name: natural_language_understanding
    description: Analyze grammar, intent, and language patterns
    tool: nlu.analyze
    provider: openrouter|deepseek-r1
    config:
      model: deepseek-r1
      timeout: 15000
      maxTokens: 2000
    input:
      text: "${steps.speech_to_text.output.text}"
      language: "${trigger.payload.sourceLanguage}"
      context: "language_learning_coaching"
    output:
      intent: string
      grammar: object
      entities: array
      sentiment: string
      confidence: number

guards:
  budget:
    maxMs: 300000
    maxTokens: 10000
    maxCost: 1.00
  security:
    piiRedaction: true
    dataRetention: "90d"
    encryption: true
  fallbacks:
    stt: "integration-app"
    tts: "text-only"
"#;

#[test]
fn a_trigger_with_a_payload_providers_and_guards() {
    let (workflow, notes) = one(COACH);
    assert_eq!(
        (&*workflow.name, workflow.title.as_deref()),
        ("bilingual_coach_workflow", Some("Bilingual Coach Workflow"))
    );
    assert!(
        matches!(&workflow.conduct.triggers[0].source, Trigger::Event(event) if **event == *"app.coach.session.start")
    );
    assert_eq!(workflow.input_schema["required"], json!(["userId", "sessionId", "targetLanguage", "sourceLanguage"]));
    let budget = workflow.budget.expect("a budget");
    assert_eq!((budget.time.map(|time| time.as_secs()), budget.allowance.tokens), (Some(300), Some(10_000)));
    let guards = &workflow.conduct.guards;
    assert!(guards.redacts_pii && guards.encrypts && guards.retention.is_some());
    let [speech, meaning] = workflow.body.steps.as_slice() else { panic!("two steps") };
    let Verb::Tool { providers, .. } = &speech.verb else { panic!("a tool") };
    assert_eq!(
        providers.iter().map(|(name, _)| &**name).collect::<Vec<_>>(),
        ["openrouter", "gemini", "integration-app"]
    );
    assert!(
        matches!(&speech.fallback[0], Fallback::Tool { tool, .. } if tool.to_string() == "integration-app.stt.local")
    );
    assert!(speech.expect.is_some() && speech.output.is_none(), "a table of types is what is expected");
    assert_eq!(meaning.limits.allowance.tokens, Some(2_000));
    assert!(notes.iter().any(|note| note.contains("`guards.fallbacks` is left out")), "{notes:#?}");
}

const SERVICES: &str = r#"{
  "services": {
    "primary": { "server": "safla", "tools": ["deploy_safla_instance", "monitor_system_health"], "timeout": 60, "retries": 3 },
    "fallback": { "server": "safla-backup", "tools": ["basic_monitoring"], "timeout": 30, "retries": 1 }
  },
  "workflows": {
    "deployment": {
      "steps": [
        {"service": "primary", "tool": "deploy_safla_instance"},
        {"service": "primary", "tool": "monitor_system_health"}
      ],
      "fallback": "basic_deployment"
    },
    "basic_deployment": { "steps": [{"service": "fallback", "tool": "basic_monitoring"}] }
  }
}"#;

#[test]
fn services_and_several_workflows_in_one_file() {
    let (workflows, _) = read(SERVICES, Format::Json);
    let [deployment, basic] = workflows.as_slice() else { panic!("two workflows") };
    assert_eq!((&*deployment.name, &*basic.name), ("deployment", "basic_deployment"));
    let all = &deployment.body.steps[0];
    assert!(matches!(&all.fallback[0], Fallback::Workflow { name, .. } if **name == *"basic_deployment"));
    let (_, inner) = all.blocks().next().expect("the steps as one");
    assert_eq!(
        inner.steps.iter().map(tool).collect::<Vec<_>>(),
        ["safla.deploy_safla_instance", "safla.monitor_system_health"]
    );
    assert_eq!(inner.steps[0].timeout.map(|timeout| timeout.as_secs()), Some(60), "services count in seconds");
    assert_eq!(&*inner.steps[1].id, "monitor_system_health");
    assert_eq!(tool(&basic.body.steps[0]), "safla-backup.basic_monitoring");
}

#[test]
fn the_fields_of_a_step_in_typescript() {
    let text = "
id: pipeline
name: Build and test
retryPolicy: { max_attempts: 3, base_delay: 1000, max_delay: 30000, strategy: exponential }
steps:
  - { id: Generate Code, service: coder, tool: generate, parameters: { spec: $input.spec, title: Generate Code }, dependencies: [], timeout: 60000, required: true }
  - { id: runTests, service: tester, tool: run, parameters: { code: '$steps.Generate Code.output.code' }, dependencies: [Generate Code], timeout: 1000, required: false, fallback: manual_review }
";
    let (workflow, _) = one(text);
    let [first, second] = workflow.body.steps.as_slice() else { panic!("two steps") };
    assert_eq!((&*workflow.name, workflow.title.as_deref()), ("pipeline", Some("Build and test")));
    assert_eq!((&*first.id, &*second.id), ("generate_code", "run_tests"));
    assert_eq!(second.after.as_ref().map(|after| after[0].to_string()), Some("generate_code".to_owned()));
    assert!(!first.optional && second.optional);
    let Verb::Tool { args, .. } = &second.verb else { panic!("a tool") };
    assert!(format!("{args:?}").contains("steps.generate_code.output.code"), "{args:?}");
    let Verb::Tool { args, .. } = &first.verb else { panic!("a tool") };
    assert!(format!("{args:?}").contains("\"Generate Code\""), "what a tool is given is nobody's name: {args:?}");
    assert_eq!(first.retry.as_ref().map(|retry| retry.policy.attempts), Some(3));
    assert!(matches!(&second.fallback[0], Fallback::Workflow { name, .. } if **name == *"manual_review"));
}

#[test]
fn steps_without_names_have_those_of_their_tools() {
    let text = "
name: twice
steps:
  - { mcp: crm, action: get, params: { id: 1 } }
  - { mcp: crm, action: get, params: { id: 2 } }
  - { name: get_2, mcp: crm, action: get, params: { id: $steps.get.output.next } }
";
    let (workflow, _) = one(text);
    let ids: Vec<_> = workflow.body.steps.iter().map(|step| &*step.id).collect();
    assert_eq!(ids, ["get", "get_3", "get_2"]);
}

#[test]
fn what_is_left_out_is_told() {
    let text = r#"{
      "versoin": "1",
      "services": { "main": { "server": "crm", "timeuot": 3 } },
      "workflows": { "a": { "steps": [ { "service": "main", "tool": "get", "retries": 0 } ] } }
    }"#;
    let (workflows, notes) = read(text, Format::Json);
    assert_eq!(workflows[0].body.steps[0].retry.as_ref().map(|retry| retry.policy.attempts), Some(1));
    for key in ["`versoin` is left out", "`timeuot` of a service is left out"] {
        assert!(notes.iter().any(|note| note.contains(key)), "{key}: {notes:#?}");
    }
}

#[test]
fn many_steps_of_one_name_are_read_quickly() {
    let text = format!("name: many\nsteps:\n{}", "  - { tool: s.a }\n  - { id: a, set: 1 }\n".repeat(20_000));
    let began = std::time::Instant::now();
    let (_, problems) = drafts(&Source::new("file", text), Format::Yaml);
    assert!(problems.iter().any(|problem| problem.message.contains("more than 1000 steps")), "{:?}", problems.first());
    assert!(began.elapsed() < std::time::Duration::from_secs(20), "{:?}", began.elapsed());
}

#[test]
fn our_own_files_are_left_alone() {
    let text =
        "name: own\ninput: { id: string }\nsteps:\n  - { id: a, tool: s.get, args: { name: x, input: $input.id } }\n";
    assert_eq!(one(text).1, Vec::<String>::new());
}

#[test]
fn a_step_says_best_how_often_it_is_tried_then_its_service_then_the_workflow() {
    let text = r#"{
      "services": { "main": { "server": "crm", "retries": 3 }, "plain": { "server": "crm" } },
      "workflows": { "a": { "retryPolicy": { "max_attempts": 9 }, "steps": [
        { "service": "main", "tool": "one", "config": { "retries": 1 } },
        { "service": "main", "tool": "two", "retry": { "attempts": 5 } },
        { "service": "main", "tool": "three" },
        { "service": "plain", "tool": "four" }
      ] } }
    }"#;
    let (workflows, _) = read(text, Format::Json);
    let attempts: Vec<_> =
        workflows[0].body.steps.iter().map(|step| step.retry.as_ref().map(|retry| retry.policy.attempts)).collect();
    assert_eq!(attempts, [Some(2), Some(5), Some(4), Some(9)]);
}

#[test]
fn a_name_may_have_dots() {
    let text = "
name: dotted
steps:
  - { name: Load v1.2, mcp: crm, action: get, params: { id: 1 } }
  - { name: Load v1, mcp: crm, action: get, params: { id: $steps.Load v1.2.output.next } }
  - { name: last, mcp: crm, action: get, params: { id: $steps.Load v1.output.next } }
";
    let (workflow, _) = one(text);
    let given = |place: usize| match &workflow.body.steps[place].verb {
        Verb::Tool { args, .. } => format!("{args:?}"),
        other => panic!("no tool: {other:?}"),
    };
    let ids: Vec<_> = workflow.body.steps.iter().map(|step| step.id.to_string()).collect();
    assert!(given(1).contains(&format!("steps.{}.output.next", ids[0])), "{ids:?}: {}", given(1));
    assert!(given(2).contains(&format!("steps.{}.output.next", ids[1])), "{ids:?}: {}", given(2));
}
