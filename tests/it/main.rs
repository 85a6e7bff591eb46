//! The integration tests: one binary, one module for each behaviour.

mod architecture;
mod calls;
mod chains;
mod cli;
mod docs;
mod faults;
mod faults_hosts;
mod faults_http;
mod faults_in_calls;
mod http_face;
mod http_security;
mod http_servers;
mod lifecycle;
mod lists;
mod matrix;
mod other_transports;
mod profiles;
mod questions;
mod real_servers;
mod regressions;
mod resilience;
mod support;
mod tasks;
mod workflow_files;
mod workflows_e2e;
mod workflows_undo;
