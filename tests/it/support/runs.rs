//! Runs, as a host begins and watches them.

use serde_json::{Value, json};

use super::{DEADLINE, Host, eventually};

impl Host {
    /// Begins a run that nobody waits for; gives back its id.
    pub(crate) fn begin(&mut self, workflow: &str) -> String {
        // One that has failed at once is the result of a failed call.
        let begun = self.call("run_workflow", json!({ "workflow": workflow, "wait": false }));
        let run = begun["structuredContent"]["run_id"].as_str();
        run.unwrap_or_else(|| panic!("a run has an id: {begun}")).to_owned()
    }

    /// Waits until the run has this status; gives back how it stands then.
    pub(crate) fn until(&mut self, run: &str, status: &str) -> Value {
        let mut seen = Value::Null;
        let is_there = eventually(DEADLINE, || {
            // One that has failed is the result of a failed call.
            seen = self.call("get_run", json!({ "run_id": run }))["structuredContent"].clone();
            seen["status"] == status
        });
        assert!(is_there, "not {status}: {seen}\n{}", self.stderr());
        seen
    }

    /// How often a tool of a server was called.
    pub(crate) fn calls(&self, server: &str, tool: &str) -> usize {
        self.record(server, "calls").iter().filter(|line| *line == tool).count()
    }

    /// Kills the program, starts it again and greets it.
    pub(crate) fn restart(&mut self) {
        self.die_and_return();
        self.initialize();
    }
}
