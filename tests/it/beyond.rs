//! Runs on Restate: what only there can happen.

#[cfg(not(feature = "restate"))]
use crate::support::{Test, fixture};

#[cfg(not(feature = "restate"))]
#[test]
fn a_program_without_restate_says_how_it_is_had() {
    let test = Test::new().registry("[engine]\nbackend = \"restate\"").server("north", fixture(["healthy"]));
    let done = test.run(&["serve"]);
    assert_ne!(done.code, 0);
    assert!(done.stderr.contains("MO4057") && done.stderr.contains("--features restate"), "{}", done.stderr);
}

#[test]
fn containers_run_the_server_that_is_tested() {
    let text = |name: &str| {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
        std::fs::read_to_string(path).expect("a file of ours")
    };
    let pinned: serde_json::Value = serde_json::from_str(&text("tests/servers/restate/package.json")).expect("JSON");
    let version = pinned["dependencies"]["@restatedev/restate-server"].as_str().expect("a version");
    for file in ["deploy/restate/compose.yaml", "deploy/restate/kubernetes.yaml"] {
        assert!(text(file).contains(&format!("restatedev/restate:{version}")), "{file}");
    }
}

#[cfg(feature = "restate")]
mod restate {
    use rustix::process::Signal;
    use serde_json::{Value, json};

    use crate::support::balancer::balance;
    use crate::support::face::{Face, MODERN, modern, request};
    use crate::support::restate::{Restate, free_ports};
    use crate::support::{DEADLINE, Host, Test, eventually, fixture};

    fn serve(restate: &Restate, listen: u16, workflows: &[(&str, &str)]) -> Host {
        let test = Test::new().registry(&restate.engine_at(listen)).server("north", fixture(["healthy"]));
        let test = workflows.iter().fold(test, |test, (name, text)| test.workflow(name, text));
        let mut host = test.start();
        host.ready(&["north"]);
        restate.knows_of_us();
        host
    }

    #[test]
    fn a_run_goes_on_when_restate_was_killed() {
        let Some(mut restate) = Restate::start() else { return };
        let flow = "steps:\n  - { id: a, tool: north.write }\n  - { id: b, tool: north.sleep, args: { ms: 1500 } }\n  - { id: c, set: done }\n";
        let mut host = serve(&restate, restate.listen, &[("flow", flow)]);
        let run = host.begin("flow");
        host.await_record("north", "calls", 2);
        restate.die_and_return();
        let report = host.value("get_run", json!({ "run_id": run, "wait_ms": 19_000 }));
        assert_eq!((&report["status"], &report["output"]), (&json!("completed"), &json!("done")), "{report}");
        let writes = host.record("north", "calls").iter().filter(|call| *call == "write").count();
        assert_eq!(writes, 1);
    }

    #[test]
    fn without_restate_tools_work_and_workflows_say_why_they_do_not() {
        let [nobody, listen] = free_ports();
        let engine = format!(
            "[engine]\nbackend = \"restate\"\nrestate = {{ ingress = \"http://127.0.0.1:{nobody}\", \
             admin = \"http://127.0.0.1:{nobody}\", listen = \"127.0.0.1:{listen}\" }}\n"
        );
        let test = Test::new().registry(&engine).server("north", fixture(["healthy"]));
        let mut host = test.workflow("flow", "steps:\n  - { id: a, tool: north.write }\n").start();
        host.ready(&["north"]);
        assert_eq!(host.value("north__echo", json!({ "n": 1 })), json!({ "n": 1 }));
        let said = host.failure("flow", json!({}));
        assert!(said.contains("MO4055") && said.contains("[engine.restate]"), "{said}");
        assert!(host.stderr().contains("servers are not affected"), "{}", host.stderr());
    }

    #[test]
    fn what_is_large_travels_in_pieces() {
        let Some(restate) = Restate::start() else { return };
        let [other] = free_ports();
        let flows = [
            ("given", "input: { text: string }\nsteps:\n  - { id: a, set: $input.text }\noutput: $input.text\n"),
            (
                "made",
                "steps:\n  - { id: big, tool: north.big, args: { bytes: 9000000 } }\n  \
                 - { id: in, workflow: given, args: { text: $steps.big.output.text } }\n  \
                 - { id: size, tool: north.measure, args: { text: $steps.in.output } }\noutput: $steps.size.output.bytes\n",
            ),
        ];
        let mut first = serve(&restate, restate.listen, &flows);
        let mut second = serve(&restate, other, &flows);
        let input = json!({ "text": "x".repeat(9 * 1024 * 1024) });
        let begun = first.value("run_workflow", json!({ "workflow": "given", "input": input, "wait": false }));
        let (given, made) = (begun["run_id"].as_str().expect("an id").to_owned(), first.begin("made"));
        for (run, output) in [(given, &input["text"]), (made, &json!(9_000_000))] {
            let mut seen = Value::Null;
            // A test build takes long to read and to write so much.
            let is_there = eventually(6 * DEADLINE, || {
                seen = second.call("get_run", json!({ "run_id": run, "wait_ms": 1_000 }))["structuredContent"].clone();
                seen["status"] == "completed"
            });
            assert!(is_there && seen["output"] == *output, "{}\n{}", seen["steps"], second.stderr());
        }
    }

    #[test]
    fn what_was_kept_in_pieces_goes_when_the_run_does() {
        let Some(restate) = Restate::start() else { return };
        let flow = "steps:\n  - { id: big, tool: north.big, args: { bytes: 9000000 } }\n  - { id: may, ask: Go on? }\noutput: done\n";
        let mut host = serve(&restate, restate.listen, &[("flow", flow)]);
        let run = host.begin("flow");
        host.until(&run, "waiting");
        let kept =
            || restate.asked("select key from state where service_name = 'OrchestratorParcel'").contains("/0000");
        assert!(kept(), "nothing is kept");
        host.value("answer_run", json!({ "run_id": run, "answer": true }));
        let planned = "select target from sys_invocation where target_handler_name = 'forget' and status = 'scheduled'";
        let forget = format!("/OrchestratorParcel/{run}/forget");
        assert!(eventually(DEADLINE, || restate.asked(planned).contains(&forget[1..])), "{}", restate.asked(planned));
        // That is as long off as runs are kept.
        restate.call(&forget);
        assert!(eventually(DEADLINE, || !kept()), "it is kept for ever");
    }

    #[test]
    fn a_large_event_is_heard() {
        let Some(restate) = Restate::start() else { return };
        let flows = [
            ("hears", "steps:\n  - { id: news, await: it.happened }\noutput: \"${steps.news.output.text|length}\"\n"),
            (
                "says",
                "steps:\n  - { id: big, tool: north.big, args: { bytes: 9000000 } }\n  \
                 - { id: say, emit: it.happened, data: { text: $steps.big.output.text } }\n",
            ),
        ];
        let mut host = serve(&restate, restate.listen, &flows);
        let run = host.begin("hears");
        host.until(&run, "running");
        host.value("run_workflow", json!({ "workflow": "says" }));
        assert_eq!(host.until(&run, "completed")["output"], 9_000_000);
    }

    #[test]
    fn any_program_reaches_any_run() {
        let Some(restate) = Restate::start() else { return };
        let [other] = free_ports();
        let flows = [
            ("asks", "steps:\n  - { id: may, ask: Go on? }\n  - { id: end, set: yes }\n"),
            ("hangs", "steps:\n  - { id: long, tool: north.sleep, args: { ms: 15000 } }\n"),
        ];
        let mut first = serve(&restate, restate.listen, &flows);
        let mut second = serve(&restate, other, &flows);
        let (asks, hangs) = (first.begin("asks"), first.begin("hangs"));
        second.until(&asks, "waiting");
        let done = second.value("answer_run", json!({ "run_id": asks, "answer": true }));
        assert_eq!((&done["status"], &done["output"]), (&json!("completed"), &json!("yes")), "{done}");
        first.until(&asks, "completed");
        second.until(&hangs, "running");
        let done = second.call("control_run", json!({ "run_id": hangs, "action": "cancel" }));
        assert_eq!(done["structuredContent"]["status"], "cancelled", "{done}");
        until_ended(&mut first, &hangs, "cancelled");
        let heard = |host: &Host| !host.record("north", "cancelled").is_empty();
        assert!(eventually(DEADLINE, || heard(&first) || heard(&second)), "no server has heard of it");
    }

    #[test]
    fn every_program_lists_the_runs_of_all() {
        let Some(restate) = Restate::start() else { return };
        let [other] = free_ports();
        let flows = [
            ("asks", "steps:\n  - { id: may, ask: Go on? }\n"),
            ("long", "steps:\n  - { id: pause, wait: 1h }\n"),
            ("ends", "steps:\n  - { id: a, tool: north.write }\n"),
        ];
        let mut first = serve(&restate, restate.listen, &flows);
        let mut second = serve(&restate, other, &flows);
        let [asks, long] = ["asks", "long"].map(|name| first.begin(name));
        first.value("run_workflow", json!({ "workflow": "ends" }));
        first.until(&asks, "waiting");
        for host in [&mut first, &mut second] {
            let listed = host.value("get_run", json!({}))["runs"].clone();
            let runs: Vec<_> =
                listed.as_array().expect("runs").iter().map(|run| (&run["run_id"], &run["status"])).collect();
            assert_eq!(runs, [(&json!(asks), &json!("waiting")), (&json!(long), &json!("running"))], "{listed}");
            assert_eq!(listed[0]["questions"][0]["question"], "Go on?");
        }
    }

    #[test]
    fn runs_of_the_embedded_journal_are_not_forgotten_silently() {
        let Some(restate) = Restate::start() else { return };
        let test = Test::new().server("north", fixture(["healthy"]));
        let mut host = test.workflow("asks", "steps:\n  - { id: may, ask: Go on? }\n").start();
        host.ready(&["north"]);
        let run = host.begin("asks");
        host.until(&run, "waiting");
        let registry = host.home().join("registry.toml");
        let written = std::fs::read_to_string(&registry).expect("a registry");
        host.signal(Signal::KILL);
        std::fs::write(&registry, format!("{}\n{written}", restate.engine())).expect("a file of our own");
        host.return_with(&[]);
        host.initialize();
        assert!(host.says("1 run of the embedded journal is open"), "{}", host.stderr());
        let done = host.beside(&["level", "minimal"]);
        assert!(done.code == 2 && done.stderr.contains("`set_level`"), "{} {}", done.code, done.stderr);
    }

    #[test]
    fn two_gateways_behind_a_balancer_are_one_to_hosts_without_sessions() {
        let Some(restate) = Restate::start() else { return };
        let [other] = free_ports();
        let gateway = |listen| {
            let test = Test::new().registry(&restate.engine_at(listen)).server("north", fixture(["healthy"]));
            let flow =
                "steps:\n  - { id: may, ask: Go on? }\n  - { id: a, tool: north.write }\n  - { id: end, set: yes }\n";
            Face::of(test.workflow("flow", flow), &["--no-auth"])
        };
        let (mut between, second) = (gateway(restate.listen), gateway(other));
        restate.knows_of_us();
        let port = |face: &Face| face.address.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
        let ports = vec![port(&between), port(&second)];
        between.address = format!("127.0.0.1:{}", balance(ports));
        // Each request is a connection of its own, so they go to one gateway and the other in turn.
        let call = |name: &str, arguments: Value| {
            let headers = [MODERN, ("Mcp-Method", "tools/call"), ("Mcp-Name", name)];
            let answer =
                between.post(&headers, &modern("tools/call", json!({ "name": name, "arguments": arguments }))).json();
            answer["result"]["structuredContent"].clone()
        };
        let begun = call("run_workflow", json!({ "workflow": "flow", "wait": false }));
        let run = json!({ "run_id": begun["run_id"] });
        for _ in 0..4 {
            let mut seen = Value::Null;
            let waits = || {
                seen = call("get_run", run.clone());
                seen["status"] == "waiting"
            };
            assert!(eventually(DEADLINE, waits), "{seen}");
        }
        let done = call("answer_run", json!({ "run_id": begun["run_id"], "answer": true }));
        assert_eq!((&done["status"], &done["output"]), (&json!("completed"), &json!("yes")), "{done}");
        for _ in 0..2 {
            assert_eq!(call("get_run", run.clone())["status"], "completed");
        }
        // A session is at one of them only; the other says so, and the host opens a new one.
        let session = between.initialize();
        let list = request("tools/list", json!({}));
        let answers = [(); 2].map(|()| between.post(&[("Mcp-Session-Id", &session)], &list).status);
        assert!(answers.contains(&404) && answers.contains(&200), "{answers:?}");
    }

    #[test]
    fn a_question_within_a_run_is_seen_from_everywhere() {
        let Some(restate) = Restate::start() else { return };
        let [other] = free_ports();
        let flows = [
            ("inner", "steps:\n  - { id: may, ask: Inside? }\n  - { id: c, set: inside }\n"),
            ("outer", "steps:\n  - { id: in, workflow: inner }\n"),
        ];
        let mut first = serve(&restate, restate.listen, &flows);
        let mut second = serve(&restate, other, &flows);
        let run = first.begin("outer");
        for host in [&mut first, &mut second] {
            let asked = host.until(&run, "waiting");
            assert_eq!(asked["questions"][0]["question"], "Inside?", "{asked}");
        }
        let done = first.value("answer_run", json!({ "run_id": run, "answer": true }));
        assert_eq!((&done["status"], &done["output"]), (&json!("completed"), &json!("inside")), "{done}");
    }

    #[test]
    fn a_host_that_shows_forms_is_asked_what_a_run_within_asks() {
        let Some(restate) = Restate::start() else { return };
        let inner = "steps:\n  - { id: may, ask: Inside?, answer: { n: integer } }\noutput: $steps.may.output.n\n";
        let outer = "steps:\n  - { id: in, workflow: inner }\noutput: $steps.in.output\n";
        let test = Test::new().registry(&restate.engine()).workflow("inner", inner).workflow("outer", outer);
        let mut host = test.server("north", fixture(["healthy"])).serve();
        let about = json!({ "name": "test", "version": "1" });
        let able =
            json!({ "protocolVersion": "2025-11-25", "capabilities": { "elicitation": {} }, "clientInfo": about });
        host.request("initialize", able);
        host.notify("notifications/initialized", json!({}));
        host.ready(&["north"]);
        restate.knows_of_us();
        let id = host.send_call("run_workflow", json!({ "workflow": "outer" }));
        let question = host.wait_for("a question", |message| message["method"] == "elicitation/create");
        assert_eq!(question["params"]["message"], "[inner] Inside?");
        host.respond(&question["id"], json!({ "action": "accept", "content": { "n": 7 } }));
        let report = host.answer(id)["result"]["structuredContent"].clone();
        assert_eq!((&report["status"], &report["output"]), (&json!("completed"), &json!(7)), "{report}");
    }

    #[test]
    fn operators_handle_runs_from_the_command_line() {
        let Some(restate) = Restate::start() else { return };
        let [other] = free_ports();
        let flows = [
            ("asks", "steps:\n  - { id: may, ask: Go on? }\n  - { id: end, set: yes }\n"),
            ("waits", "steps:\n  - { id: paid, await: order.paid }\noutput: $steps.paid.output.sum\n"),
            ("long", "steps:\n  - { id: pause, wait: 1h }\n"),
            ("fails", "steps:\n  - { id: a, tool: north.write }\n  - { id: b, tool: north.fail }\n"),
        ];
        let mut host = serve(&restate, restate.listen, &flows);
        let operator = Test::new().registry(&restate.engine_at(other)).server("north", fixture(["healthy"]));
        let operator = flows.iter().fold(operator, |test, (name, text)| test.workflow(name, text));
        let done = |args: &[&str]| {
            let done = operator.run(&[&["runs"], args].concat());
            assert_eq!(done.code, 0, "{args:?}: {}", done.stderr);
            done.stdout
        };
        let [asks, waits, long] = ["asks", "waits", "long"].map(|name| host.begin(name));
        host.until(&asks, "waiting");
        let listed = done(&["list"]);
        assert!([&asks, &waits, &long].iter().all(|run| listed.contains(run.as_str())), "{listed}");
        assert!(done(&["show", &asks]).contains("Go on?"));
        done(&["answer", &asks, "yes"]);
        done(&["signal", &waits, "order.paid", r#"{"sum": 4}"#]);
        done(&["cancel", &long]);
        assert!(done(&["follow", &waits]).lines().last().is_some_and(|line| line.contains("arrived")));
        host.until(&asks, "completed");
        assert_eq!(host.until(&waits, "completed")["output"], 4);
        until_ended(&mut host, &long, "cancelled");
        let exported = done(&["export", &waits]);
        assert!(exported.lines().next().is_some_and(|line| line.contains("order.paid")), "{exported}");

        let failed = host.failed("run_workflow", json!({ "workflow": "fails" }))["run_id"].clone();
        let retried = operator.run(&["runs", "retry", failed.as_str().expect("an id")]);
        assert!(retried.stdout.contains("failed"), "{} {}", retried.stdout, retried.stderr);
        assert_eq!(host.record("north", "calls"), ["write", "fail", "fail"]);
    }

    #[test]
    fn a_run_outlives_the_program_that_has_begun_it() {
        let Some(restate) = Restate::start() else { return };
        let [other] = free_ports();
        let flow = [("flow", "steps:\n  - { id: pause, wait: 2s }\n  - { id: end, set: yes }\n")];
        let mut first = serve(&restate, other, &flow);
        let mut second = serve(&restate, restate.listen, &flow);
        let run = first.begin("flow");
        first.signal(Signal::KILL);
        let report = second.value("get_run", json!({ "run_id": run, "wait_ms": 19_000 }));
        assert_eq!((&report["status"], &report["output"]), (&json!("completed"), &json!("yes")), "{report}");
    }

    /// The same of a run that has not succeeded, which is told as a failure.
    fn until_ended(host: &mut Host, run: &str, status: &str) {
        let mut seen = Value::Null;
        let is_there = eventually(DEADLINE, || {
            seen = host.call("get_run", json!({ "run_id": run }))["structuredContent"].clone();
            seen["status"] == status
        });
        assert!(is_there, "not {status}: {seen}\n{}", host.stderr());
    }
}
