//! What the files say is taken over while the program serves.

use std::fs;
use std::path::PathBuf;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{DEADLINE, Host, Test, eventually, fixture};

fn registry(host: &Host) -> PathBuf {
    host.home().join("registry.toml")
}

fn text_of(host: &Host) -> String {
    fs::read_to_string(registry(host)).expect("the registry")
}

/// One server called `north`, listed.
fn north() -> Host {
    let mut host = Test::new().server("north", fixture(["healthy"])).start();
    host.ready(&["north"]);
    host
}

/// The registry with a second server that is as the first one.
fn with_south(host: &Host) -> String {
    let text = text_of(host);
    format!("{text}\n{}", text.replace("north", "south"))
}

fn changes(host: &mut Host) -> usize {
    host.notifications("notifications/tools/list_changed").len()
}

fn pid(host: &mut Host, server: &str) -> Value {
    host.value(&format!("{server}__pid"), json!({}))["pid"].clone()
}

fn status(host: &mut Host) -> String {
    host.value("orchestrator_status", json!({})).to_string()
}

#[test]
fn a_server_that_is_added_is_there_and_the_others_do_not_notice() {
    let mut host = north();
    let (before, told) = (pid(&mut host, "north"), changes(&mut host));
    let call = host.send_call("north__sleep", json!({ "ms": 1500 }));
    fs::write(registry(&host), with_south(&host)).expect("the registry");
    host.wait_for("a change", |message| message["method"] == "notifications/tools/list_changed");
    host.ready(&["south"]);
    assert_eq!(host.value("south__echo", json!({ "x": 1 }))["x"], 1);
    assert_eq!(host.answer(call)["result"]["structuredContent"]["slept"], 1500, "a call in flight goes on");
    assert_eq!(pid(&mut host, "north"), before);
    assert_eq!(changes(&mut host), told + 1, "hosts are told once\n{}", host.stderr());
}

#[test]
fn a_server_that_is_removed_finishes_its_calls_and_ends() {
    let mut host = north();
    let south = with_south(&host);
    let north_alone = text_of(&host);
    fs::write(registry(&host), south).expect("the registry");
    host.ready(&["south"]);
    let call = host.send_call("south__sleep", json!({ "ms": 2000 }));
    host.await_record("south", "calls", 1);
    fs::write(registry(&host), north_alone).expect("the registry");
    let is_gone = eventually(DEADLINE, || !host.tools().iter().any(|tool| tool.starts_with("south__")));
    assert!(is_gone, "{}", host.stderr());
    assert_eq!(host.answer(call)["result"]["structuredContent"]["slept"], 2000, "{}", host.stderr());
    let ended = host.pid("south");
    let is_ended = eventually(DEADLINE, || !host.processes_left().iter().any(|process| process.pid == ended));
    assert!(is_ended, "{:?}", host.processes_left());
}

#[test]
fn a_server_that_is_changed_is_replaced() {
    let mut host = north();
    let before = pid(&mut host, "north");
    let changed = text_of(&host).replace("env = { ", r#"env = { COLOUR = "blue", "#);
    fs::write(registry(&host), changed).expect("the registry");
    let is_new = eventually(DEADLINE, || host.value("north__env", json!({}))["COLOUR"] == "blue");
    assert!(is_new, "{}", host.stderr());
    assert_ne!(pid(&mut host, "north"), before);
    assert_eq!(host.record("north", "starts").len(), 2);
}

#[test]
fn a_call_that_waits_for_a_server_to_start_waits_for_whoever_takes_its_place() {
    let mut host = Test::new().server("north", fixture(["never-lists"]).with("connect_timeout = \"1m\"")).start();
    host.await_record("north", "starts", 1);
    let by_name = host.send_call("north__echo", json!({ "x": 1 }));
    let definition = json!({ "name": "x", "steps": [{ "id": "a", "tool": "north.echo", "args": { "x": 1 } }], "output": "$steps.a.output" });
    let in_run = host.send_call("run_workflow", json!({ "definition": definition }));
    let healthy = text_of(&host).replace("never-lists", "healthy");
    fs::write(registry(&host), healthy).expect("the registry");
    let answer = host.answer(by_name);
    assert_eq!(answer["result"]["structuredContent"]["x"], 1, "{answer}\n{}", host.stderr());
    let answer = host.answer(in_run);
    assert_eq!(answer["result"]["structuredContent"]["output"]["x"], 1, "{answer}\n{}", host.stderr());
}

#[test]
fn a_new_server_that_never_answers_holds_the_others_up_for_a_moment_only() {
    let mut host = north();
    let text = text_of(&host);
    let dead = text.replace("north", "dead").replace("\"healthy\"", "\"never-lists\"");
    let all = format!("[orchestrator]\nsettle = \"50s\"\n{}\n{dead}", with_south(&host));
    let began = std::time::Instant::now();
    fs::write(registry(&host), all).expect("the registry");
    let told = host.value("reload_config", json!({}));
    assert_eq!(told["servers"]["added"], json!(["dead", "south"]), "{told}");
    assert!(began.elapsed() < std::time::Duration::from_secs(25), "{:?}", began.elapsed());
    assert_eq!(host.value("south__echo", json!({ "x": 1 }))["x"], 1);
}

#[test]
fn a_file_that_is_put_in_place_of_the_old_one_is_seen() {
    let mut host = north();
    let draft = host.home().join("registry.toml~");
    fs::write(&draft, with_south(&host)).expect("a draft");
    fs::rename(&draft, registry(&host)).expect("the registry");
    host.ready(&["south"]);
}

#[test]
fn included_files_are_taken_over_and_mistakes_in_one_leave_all_as_it_was() {
    let scene = Test::new().server("north", fixture(["healthy"]));
    let home = scene.home().to_path_buf();
    drop(scene.command(&["check"]));
    let text = fs::read_to_string(home.join("registry.toml")).expect("the registry");
    fs::create_dir(home.join("more")).expect("a folder");
    let file = |name: &str| home.join("more").join(format!("{name}.toml"));
    fs::write(file("south"), text.replace("north", "south")).expect("a file");
    let root = home.join("root.toml");
    fs::write(&root, "[discovery]\ninclude = [\"more/*.toml\"]\n").expect("a registry");
    let mut host = scene.serve_with(&["--registry", &root.to_string_lossy()]);
    host.initialize();
    host.ready(&["south"]);
    fs::write(file("east"), text.replace("north", "east")).expect("a file");
    host.ready(&["east"]);
    let before = pid(&mut host, "south");
    fs::write(file("south"), text.replace("north", "south").replace("env = { ", "timeout = \"soon\"\nenv = { "))
        .expect("a file");
    assert!(eventually(DEADLINE, || status(&mut host).contains("has mistakes")), "{}", host.stderr());
    assert_eq!(pid(&mut host, "south"), before, "it goes on as it was");
    let mended = text.replace("north", "south").replace("env = { ", r#"env = { COLOUR = "blue", "#);
    fs::write(file("south"), mended).expect("a file");
    let is_new = eventually(DEADLINE, || host.value("south__env", json!({}))["COLOUR"] == "blue");
    assert!(is_new, "{}", host.stderr());
    fs::remove_file(file("east")).expect("a file");
    let is_gone = eventually(DEADLINE, || !host.tools().iter().any(|tool| tool.starts_with("east__")));
    assert!(is_gone, "{}", host.stderr());
}

#[test]
fn a_link_that_leads_elsewhere_is_seen() {
    // As Kubernetes mounts a ConfigMap: the file is a link through `..data`, which is replaced as a whole.
    let scene = Test::new().server("north", fixture(["healthy"]));
    let home = scene.home().to_path_buf();
    drop(scene.command(&["check"]));
    let text = fs::read_to_string(home.join("registry.toml")).expect("the registry");
    for (version, text) in [("..1", text.clone()), ("..2", format!("{text}\n{}", text.replace("north", "south")))] {
        fs::create_dir_all(home.join("mounted").join(version)).expect("a folder");
        fs::write(home.join("mounted").join(version).join("registry.toml"), text).expect("a file");
    }
    let link =
        |target: &str, name: &str| std::os::unix::fs::symlink(target, home.join("mounted").join(name)).expect("a link");
    link("..1", "..data");
    link("..data/registry.toml", "registry.toml");
    let mounted = home.join("mounted/registry.toml").to_string_lossy().into_owned();
    let mut host = scene.serve_with(&["--registry", &mounted]);
    host.initialize();
    host.ready(&["north"]);
    link("..2", "..data_tmp");
    fs::rename(home.join("mounted/..data_tmp"), home.join("mounted/..data")).expect("the links are swapped");
    host.ready(&["south"]);
}

#[test]
fn a_file_with_mistakes_leaves_everything_as_it_was_and_says_so() {
    let mut host = north();
    let (good, before) = (text_of(&host), pid(&mut host, "north"));
    for (broken, why) in [
        ("[servers.north\n".to_owned(), "MO1"),
        (good.replace("command = ", "comand = "), "comand"),
        (format!("{}\ntimeout = \"soon\"\n", with_south(&host)), "soon"),
    ] {
        fs::write(registry(&host), broken).expect("the registry");
        let is_told = eventually(DEADLINE, || {
            let status = status(&mut host);
            status.contains("used as it was before") && status.contains(why)
        });
        assert!(is_told, "{why}\n{}", host.stderr());
        assert!(host.says("wrong"), "{}", host.stderr());
        assert_eq!(pid(&mut host, "north"), before);
        assert!(!host.tools().iter().any(|tool| tool.starts_with("south")));
    }
    fs::write(registry(&host), good).expect("the registry");
    let is_mended = eventually(DEADLINE, || !status(&mut host).contains("as it was before"));
    assert!(is_mended, "{}", host.stderr());
    assert_eq!(pid(&mut host, "north"), before);
}

#[test]
fn workflows_stay_while_the_registry_does_not_say_rightly_where_they_are() {
    let test = Test::new().server("north", fixture(["healthy"]));
    let flow = "name: flow\nsteps:\n  - { id: a, tool: north.echo }\n";
    let where_they_are = "[orchestrator]\nworkflows = [\"flows\"]\n";
    let mut host = test.file("flows/flow.yaml", flow).registry(where_they_are).start();
    host.ready(&["north", "flow"]);
    let good = text_of(&host);
    for broken in ["workfows = [\"flows\"]", "workflows = 5"] {
        fs::write(registry(&host), good.replace("workflows = [\"flows\"]", broken)).expect("the registry");
        assert!(eventually(DEADLINE, || status(&mut host).contains("used as it was before")), "{}", host.stderr());
        assert!(host.tools().iter().any(|tool| tool == "flow"), "{broken}: {}", host.stderr());
        fs::write(registry(&host), &good).expect("the registry");
        assert!(eventually(DEADLINE, || !status(&mut host).contains("as it was before")), "{}", host.stderr());
    }
}

#[test]
fn workflows_stay_while_their_folder_cannot_be_read() {
    let test = Test::new().server("north", fixture(["healthy"]));
    let flow = "name: flow\nsteps:\n  - { id: a, tool: north.echo }\n";
    let where_they_are = "[orchestrator]\nworkflows = [\"flows/*.yaml\"]\n";
    let mut host = test.file("flows/flow.yaml", flow).registry(where_they_are).start();
    host.ready(&["north", "flow"]);
    let (folder, aside) = (host.home().join("flows"), host.home().join("aside"));
    fs::rename(&folder, &aside).expect("the folder is moved");
    // A link that leads to itself.
    std::os::unix::fs::symlink("flows", &folder).expect("a link");
    let told = host.value("reload_config", json!({}));
    assert!(told["ok"] == false && told.to_string().contains("cannot be read"), "{told}");
    assert!(host.tools().iter().any(|tool| tool == "flow"), "{told}");
    fs::remove_file(&folder).and_then(|()| fs::rename(&aside, &folder)).expect("the folder is back");
    assert_eq!(host.value("reload_config", json!({}))["ok"], true);
    fs::remove_dir_all(&folder).expect("the folder is gone");
    host.value("reload_config", json!({}));
    assert!(!host.tools().iter().any(|tool| tool == "flow"), "one that is gone has no files");
}

#[test]
fn workflows_come_change_and_go_and_runs_keep_their_plan() {
    let step = |text: &str| {
        format!("name: flow\nsteps:\n  - {{ id: a, tool: north.sleep, args: {{ ms: 1500 }} }}\noutput: {text}\n")
    };
    let test = Test::new().server("north", fixture(["healthy"])).workflow("flow", &step("old"));
    let mut host = test.start();
    host.ready(&["north"]);
    let file = host.home().join("workflows/flow.yaml");
    let run = host.send_call("flow", json!({}));
    host.await_record("north", "calls", 1);
    fs::write(&file, step("new")).expect("the workflow");
    fs::write(host.home().join("workflows/more.yaml"), "name: more\nsteps:\n  - { id: a, tool: north.echo }\n")
        .expect("one more");
    host.ready(&["more"]);
    let output = |answer: &Value| answer["structuredContent"]["result"].clone();
    assert_eq!(output(&host.answer(run)["result"]), "old");
    assert_eq!(output(&host.call("flow", json!({}))), "new");
    fs::write(&file, "name: flow\nsteps: [\n").expect("a broken file");
    assert!(host.says("flow.yaml"), "{}", host.stderr());
    assert_eq!(output(&host.call("flow", json!({}))), "new", "what was read before is kept");
    fs::remove_file(host.home().join("workflows/more.yaml")).expect("one less");
    assert!(eventually(DEADLINE, || !host.tools().contains(&"more".to_owned())), "{}", host.stderr());
}

#[test]
fn a_hang_up_or_a_tool_has_the_files_read_anew() {
    let mut host = north();
    host.signal(Signal::HUP);
    assert!(host.says("read anew"), "{}", host.stderr());
    fs::write(registry(&host), with_south(&host)).expect("the registry");
    let told = host.value("reload_config", json!({}));
    assert_eq!(told["ok"], true, "{told}");
    assert!(host.tools().contains(&"south__echo".to_owned()), "{told}");
    fs::write(registry(&host), "[servers.north\n").expect("the registry");
    let told = host.value("reload_config", json!({}));
    assert!(
        told["ok"] == false && told["kept"][0].as_str().is_some_and(|file| file.ends_with("registry.toml")),
        "{told}"
    );
    assert!(host.tools().contains(&"south__echo".to_owned()), "what was read before is kept");
}

#[test]
fn what_counts_at_the_start_only_is_told() {
    let mut host = north();
    let text = text_of(&host);
    fs::write(registry(&host), format!("{}\n[engine]\nbackend = \"restate\"\n", with_south(&host)))
        .expect("the registry");
    let told = host.value("reload_config", json!({}));
    assert_eq!(
        (&told["ok"], &told["servers"]["added"]),
        (&json!(true), &json!(["south"])),
        "the rest is taken over: {told}"
    );
    let problem = told["problems"][0].as_str().expect("a problem");
    assert!(problem.contains("MO1014") && problem.contains("`[engine]`"), "{told}");
    host.value("reload_config", json!({}));
    assert!(status(&mut host).contains("MO1014"), "for as long as it is so");
    fs::write(registry(&host), "[orchestrator]\nkeep_runs = \"soon\"\n").expect("the registry");
    let told = host.value("reload_config", json!({}));
    assert!(
        told["ok"] == false && !told.to_string().contains("MO1014"),
        "a file with mistakes has changed nothing: {told}"
    );
    fs::write(registry(&host), text).expect("the registry");
    assert_eq!(host.value("reload_config", json!({}))["problems"], json!([]));
}
