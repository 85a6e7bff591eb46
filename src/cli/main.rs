//! From the command line to an exit code.

use std::path::PathBuf;

use clap::Parser as _;
use tokio::runtime::{Builder, Runtime};

use crate::app::carrier::backend;
use crate::app::files::registries;
use crate::app::finds::Finds;
use crate::app::folder::{CATALOGUE, data};
use crate::app::load::{Files, Loaded, load};
use crate::app::reload::Watched;
use crate::app::run::App;
use crate::cli::args::runs::Runs;
use crate::cli::args::{Cli, Command, Common, Output};
use crate::cli::exit::Exit;
use crate::cli::terminal::Terminal;
use crate::cli::{
    auth, call, check, complete, config, conformance, convert, elsewhere, explain, format, graph, left, list, log, new,
    render, run, runs, schema, serve,
};
use crate::demo;
use crate::document::format::Format;
use crate::downstream::memory::Memory;
use crate::downstream::stdio::watchdog;
use crate::model::problem::Problem;
use crate::registry::engine::Engine;

/// Does what the command line says. What was done and could not be told is no success.
pub fn main() -> Exit {
    match act() {
        Exit::Ok if Terminal::has_lost() => Exit::Unexpected,
        exit => exit,
    }
}

fn act() -> Exit {
    complete::answer();
    let Cli { common, command } = Cli::parse();
    let terminal = Terminal::new(common.output != Output::Text);
    if common.output == Output::Sarif && !matches!(command, Command::Check { .. }) {
        terminal.error("`-o sarif` is a form of `check` only; use text or json");
        return Exit::Usage;
    }
    match &command {
        Command::Watchdog { instance } => {
            watchdog::watch(instance);
            return Exit::Ok;
        }
        Command::DemoServer { name } => return demo::server::serve(name).map_or(Exit::Usage, |()| Exit::Ok),
        Command::Completions { shell } => {
            terminal.data(&complete::script(*shell));
            return Exit::Ok;
        }
        Command::Fmt { files, check } if !files.is_empty() => {
            return format::named(files, *check, terminal);
        }
        Command::Convert { file, to } => return convert::convert(file, *to, terminal),
        Command::Schema { of } => return schema::print(*of, terminal),
        Command::Explain { code } => return explain::explain(code.as_deref(), terminal),
        _ => {}
    }
    let is_serving = matches!(command, Command::Serve(_));
    let _log = log::start(&common, if is_serving { "info" } else { "error" });
    let runtime = match runtime(&command) {
        Ok(runtime) => runtime,
        Err(error) => {
            terminal.error(&format!("cannot start: {error}"));
            return Exit::Unexpected;
        }
    };
    let exit = runtime.block_on(dispatch(&common, command, terminal));
    // A blocked read of a standard stream must not keep the process alive.
    runtime.shutdown_background();
    exit
}

/// One thread is enough for one host, and no call has to wait for another thread to wake up: measured, a third of the time
/// that we add to a call (docs/performance.md). Many hosts share all cores.
fn runtime(command: &Command) -> std::io::Result<Runtime> {
    let is_for_one_host = matches!(command, Command::Serve(how) if how.http.is_none());
    let mut builder = if is_for_one_host { Builder::new_current_thread() } else { Builder::new_multi_thread() };
    builder.enable_all().build()
}

async fn dispatch(common: &Common, command: Command, terminal: Terminal) -> Exit {
    if let Command::Demo = command {
        return demo::show::play(terminal.is_json, &|line| terminal.data(line)).await.map_or_else(
            |why| {
                terminal.error(&why);
                Exit::Failed
            },
            |()| Exit::Ok,
        );
    }
    if let Command::ConformanceClient { url } = command {
        return conformance::use_all(&url, terminal).await;
    }
    let mut files =
        Files { registries: common.registry.clone(), workflows: common.workflows.clone(), ..Files::default() };
    let folder =
        registries(&files.registries).ok().and_then(|registries| data(common.data_dir.as_deref(), &registries).ok());
    files.kept = folder.as_deref().map(Finds::new);
    files.catalogue = folder.map(|data| data.join(CATALOGUE));
    let file = named_file(&command).map(ToOwned::to_owned);
    files.workflows.extend(file.clone());
    let loaded = match load(&files) {
        Ok(loaded) => loaded,
        Err(why) => {
            terminal.error(&format!("{why}\nhint: pass one with --registry FILE, or see `mcp-orchestrator demo`"));
            return Exit::Usage;
        }
    };
    let command = match file {
        Some(file) => with_name(command, &file, &loaded),
        None => command,
    };
    match command {
        Command::Check { json, online, fix, dry_run } => {
            let terminal = Terminal { is_json: terminal.is_json || json, ..terminal };
            let is_sarif = common.output == Output::Sarif;
            let fix = match (fix, dry_run) {
                (false, _) => check::Fix::No,
                (true, false) => check::Fix::Write,
                (true, true) => check::Fix::Show,
            };
            let how = check::How { is_online: online, fix, is_sarif, shows_plans: dry_run && fix == check::Fix::No };
            check::check(files, loaded, how, terminal).await
        }
        Command::New { name, from_tools, dir } if from_tools.is_empty() => {
            let place = new_place(&name, dir, &loaded);
            let patterns = loaded.patterns.clone();
            new::plain(&new::Wanted { name, tools: from_tools, place, patterns }, &loaded, terminal)
        }
        Command::Fmt { check, .. } => format::all(&loaded.sources, check, terminal),
        Command::Graph { workflow, format } => graph::show(&files, &loaded, &workflow, format, terminal),
        Command::Auth { what } => match usable(loaded, terminal) {
            Some(loaded) => Box::pin(auth::auth(&loaded, what, terminal)).await,
            None => Exit::Usage,
        },
        Command::Config { what } => match folder_of(common, &loaded, terminal) {
            Ok(folder) => {
                config::config(&folder, &Files { registries: loaded.files.clone(), ..files }, &what, terminal)
            }
            Err(exit) => exit,
        },
        Command::Level { .. } if loaded.registry.engine != Engine::Embedded => elsewhere::level(terminal),
        Command::Level { level } => match folder_of(common, &loaded, terminal) {
            Ok(folder) => runs::level(&folder, level, terminal).await,
            Err(exit) => exit,
        },
        Command::Runs { what } => Box::pin(runs_of(what, (files, loaded), common, terminal)).await,
        other => match usable(loaded, terminal) {
            Some(loaded) => Box::pin(with_servers(other, (files, loaded), common, terminal)).await,
            None => Exit::Usage,
        },
    }
}

/// Where the program that serves with these files keeps what it keeps.
fn folder_of(common: &Common, loaded: &Loaded, terminal: Terminal) -> Result<PathBuf, Exit> {
    data(common.data_dir.as_deref(), &loaded.files).map_err(|why| {
        terminal.error(&format!("there is no data directory: {why}"));
        Exit::Unexpected
    })
}

/// Runs that are stored, or carried elsewhere.
async fn runs_of(what: Runs, (files, loaded): (Files, Loaded), common: &Common, terminal: Terminal) -> Exit {
    match backend(&loaded.registry.engine) {
        Ok(Some(backend)) if !elsewhere::needs_servers(&what) => {
            return elsewhere::runs(&backend, what, terminal).await;
        }
        Ok(Some(_)) => {}
        Ok(None) => match folder_of(common, &loaded, terminal) {
            Ok(folder) if !runs::needs_servers(&what, &folder) => return runs::runs(&folder, what, terminal).await,
            Ok(_) => {}
            Err(exit) => return exit,
        },
        Err(fault) => {
            terminal.error(&fault.to_string());
            return Exit::of(&fault);
        }
    }
    match usable(loaded, terminal) {
        Some(loaded) => Box::pin(with_servers(Command::Runs { what }, (files, loaded), common, terminal)).await,
        None => Exit::Usage,
    }
}

/// The workflow file that a command names in place of a workflow.
fn named_file(command: &Command) -> Option<&str> {
    match command {
        Command::Run { workflow, .. } | Command::Graph { workflow, .. } => {
            Format::of(workflow).is_some().then_some(workflow.as_str())
        }
        _ => None,
    }
}

/// The command with the name of the workflow that `file` holds.
fn with_name(mut command: Command, file: &str, loaded: &Loaded) -> Command {
    // The registry may name the same file in another way.
    let place = |name: &str| std::fs::canonicalize(name).unwrap_or_else(|_| name.into());
    let held = loaded.workflows.iter().find(|workflow| place(&workflow.source.name) == place(file));
    if let (Some(held), Command::Run { workflow, .. } | Command::Graph { workflow, .. }) = (held, &mut command) {
        *workflow = held.name.to_string();
    }
    command
}

/// Says what is wrong with the files; nothing is left if a registry file could not be read at all.
fn usable(loaded: Loaded, terminal: Terminal) -> Option<Loaded> {
    if !loaded.problems.is_empty() {
        terminal.note(&render::problems(&loaded.problems, &loaded.read, terminal));
    }
    (!loaded.is_unusable).then_some(loaded)
}

/// Where `new` writes its draft.
fn new_place(name: &str, named: Option<PathBuf>, loaded: &Loaded) -> Result<(PathBuf, Format), String> {
    named.map_or_else(|| new::place(name, &loaded.patterns, &loaded.files), |folder| Ok((folder, Format::Yaml)))
}

/// Tells what is wrong beside what was told; with `is_shown` the command does that by itself.
fn tell_rest(app: &App, troubles: &[String], told: &[String], is_shown: bool, terminal: Terminal) {
    if is_shown {
        app.gateway().forget_problems(told);
        return;
    }
    for trouble in troubles.iter().filter(|trouble| !told.contains(trouble)) {
        terminal.note(trouble);
    }
}

async fn with_servers(command: Command, (files, loaded): (Files, Loaded), common: &Common, terminal: Terminal) -> Exit {
    let profile = common.profile.as_deref();
    let has_sources = !loaded.registry.discovery.sources.is_empty();
    if loaded.registry.servers.is_empty() && loaded.workflows.is_empty() && !has_sources {
        terminal.note("no servers and no workflows: the registry is empty");
    }
    let is_serving = matches!(command, Command::Serve(_));
    if let Some(Err(why)) = profile.map(|profile| loaded.registry.profile(profile)) {
        terminal.error(&why);
        return Exit::Usage;
    }
    let place = match &command {
        Command::New { name, dir, .. } => new_place(name, dir.clone(), &loaded),
        _ => Err(String::new()),
    };
    let patterns = loaded.patterns.clone();
    let data = data(common.data_dir.as_deref(), &loaded.files);
    let found = loaded.found.clone();
    let watched = Watched::of(files.clone(), &loaded, data.as_deref().ok());
    let age = loaded.registry.orchestrator.remember;
    // Whoever asks how servers do wants to know how they do now; for hosts it is worth more to be answered at once.
    let memory = data.as_ref().ok().map(|data| Memory::new(data.join(CATALOGUE), age, is_serving));
    let has_mistakes = loaded.problems.iter().any(Problem::is_error);
    let told: Vec<String> = loaded.problems.iter().map(ToString::to_string).collect();
    let app = App::start_with(loaded, std::env::current_exe().ok(), profile, memory);
    if matches!(command, Command::Serve(_) | Command::Run { .. } | Command::Runs { .. } | Command::Call { .. })
        && let Err(fault) = app.choose_backend()
    {
        terminal.error(&fault.to_string());
        app.close().await;
        return Exit::of(&fault);
    }
    if let (true, Ok(folder)) = (is_serving && app.is_carried_elsewhere(), &data) {
        elsewhere::note_left(folder, terminal);
    }
    let before = match store(&app, &command, data, terminal) {
        Ok(before) => before,
        Err(exit) => {
            app.close().await;
            return exit;
        }
    };
    let app = if is_serving { app } else { app.without_host() };
    if !is_serving {
        let troubles = app.find_servers(&files, &found).await;
        tell_rest(&app, &troubles, &told, !terminal.is_json && matches!(command, Command::Status { .. }), terminal);
    }
    let exit = match command {
        Command::Serve(how) => {
            app.gateway().resume_runs(None).into_iter().for_each(|waiter| drop(waiter.leave()));
            app.gateway().hear_operators(None);
            serve::serve(&app, how, watched, terminal).await
        }
        Command::Run { workflow, input, file, answer, dry_run } => {
            let wanted = run::Wanted { workflow, pairs: input, file, answers: answer, is_dry: dry_run, has_mistakes };
            app.gateway().hear_operators(None);
            run::run(&app, wanted, terminal).await
        }
        Command::Runs { what: Runs::Resume { run } } => runs::resume(&app, run.as_deref(), terminal).await,
        Command::Runs { what: Runs::Retry { run, again } } => runs::retry(&app, &run, again, terminal).await,
        Command::Call { tool, arguments, json } => call::call(&app, &tool, &arguments, json.as_deref(), terminal).await,
        Command::New { name, from_tools, .. } => {
            let wanted = new::Wanted { name, tools: from_tools, place, patterns };
            new::from_tools(&wanted, &app, terminal).await
        }
        Command::Tools { server, capability } => {
            list::tools(&app, server.as_deref(), capability.as_deref(), terminal).await
        }
        Command::Status { server } => list::status(&app, server.as_deref(), terminal).await,
        _ => Exit::Usage,
    };
    app.close().await;
    if let Some(before) = before {
        before.note(terminal);
    }
    exit
}

/// Stores the runs of a command that has some; gives back what was left open before one that goes on with nothing else.
fn store(
    app: &App,
    command: &Command,
    data: Result<PathBuf, impl std::fmt::Display>,
    terminal: Terminal,
) -> Result<Option<left::Before>, Exit> {
    let has_runs = matches!(command, Command::Serve(_) | Command::Run { dry_run: false, .. } | Command::Runs { .. });
    if !has_runs || app.is_carried_elsewhere() {
        return Ok(None);
    }
    match data.map_err(|why| why.to_string()).and_then(|data| app.store_runs(&data).map(|()| data)) {
        Ok(folder) => Ok(matches!(command, Command::Run { .. }).then(|| left::Before::of(folder))),
        Err(why) if matches!(command, Command::Runs { .. }) => {
            terminal.error(&format!("no run can be taken up: {why}"));
            Err(Exit::Failed)
        }
        Err(why) => {
            terminal.note(&format!("runs are not stored and will not survive the program: {why}"));
            terminal.note("hint: everything else works; --data-dir DIR stores them elsewhere");
            Ok(None)
        }
    }
}
