//! Names in expressions and in `after`: whether there is such a thing at this place. Needs nothing but the workflow.

use crate::model::code;
use crate::model::code::Code;
use crate::model::problem::{Patch, Problem, Span};
use crate::model::suggest;
use crate::workflow::check::scope::{Found, Scope, Visit, walk};
use crate::workflow::definition::{Step, Workflow};
use crate::workflow::delegation::shared_keys;
use crate::workflow::schema;
use crate::workflow::site::{Place, Use};
use crate::workflow::verb::Verb;

const STEP_PARTS: [&str; 5] = ["output", "result", "status", "error", "attempts"];
const ERROR_PARTS: [&str; 8] = ["kind", "code", "message", "step", "server", "target", "hint", "data"];
const EVENT_PARTS: [&str; 2] = ["name", "data"];
const TRIGGER_PARTS: [&str; 2] = ["payload", "source"];
const RUN_PARTS: [&str; 3] = ["id", "caller", "started_at"];

/// Roots of the full language that this version does not have.
const UNSUPPORTED: [&str; 1] = ["env"];

/// Every name that means nothing where it stands, and every id that is given twice.
pub fn check(workflow: &Workflow) -> Vec<Problem> {
    let mut names = Names { workflow, problems: Vec::new() };
    walk(workflow, &mut names);
    names.problems
}

struct Names<'a> {
    workflow: &'a Workflow,
    problems: Vec<Problem>,
}

impl<'a> Visit<'a> for Names<'a> {
    fn step(&mut self, scope: &Scope<'a>, step: &'a Step) {
        self.unique(scope, step);
        let Some(after) = &step.after else { return };
        for (id, span) in after.iter().zip(&step.sites.after) {
            self.after(scope, step, id, span);
        }
    }

    fn reference(&mut self, scope: &Scope<'a>, owner: Option<&'a Step>, site: &'a Use) {
        let Some(root) = site.path.first() else { return };
        match root.as_str() {
            "trigger" if site.place == Place::Trigger => self.part(site, "trigger", &TRIGGER_PARTS),
            "flags" => {}
            root if site.place == Place::Trigger => {
                let message = format!("there is no `{root}` here");
                self.error(code::UNKNOWN_ROOT, &site.span, message).help =
                    Some("a trigger sees `trigger.payload` and `flags`: nothing has run yet".to_owned());
            }
            root if scope.binds(owner, site.place, root) => {}
            "input" => self.input(site),
            "steps" => self.steps(scope, site),
            "run" => self.part(site, "run", &RUN_PARTS),
            "context" => self.context(site),
            "error" if scope.has_error(site.place) => self.part(site, "error", &ERROR_PARTS),
            "event" if site.place == Place::Event => self.part(site, "event", &EVENT_PARTS),
            "result" if scope.has_result(site.place) => {}
            _ => self.unknown_root(scope, owner, site, root),
        }
    }
}

impl<'a> Names<'a> {
    fn error(&mut self, code: Code, span: &Span, message: String) -> &mut Problem {
        let place = self.problems.len();
        self.problems.push(Problem::error(code, &self.workflow.source, span.clone(), message));
        &mut self.problems[place]
    }

    /// Replaces one name of a reference, if the file shows it as it is.
    fn patch(&self, span: &Span, name: &str, replacement: &str) -> Option<Patch> {
        let written = self.workflow.source.text.get(span.clone())?;
        let start = span.start + written.find(name)?;
        Some(Patch { span: start..start + name.len(), replacement: replacement.to_owned() })
    }

    /// An error about `name`, one of the names at `span`, with the near one among `known` or else `otherwise`.
    fn unknown(
        &mut self,
        code: Code,
        span: &Span,
        message: String,
        name: &str,
        known: &[&str],
        otherwise: Option<String>,
    ) {
        let near = suggest::nearest(name, known.iter().copied());
        let patch = near.and_then(|near| self.patch(span, name, near));
        let problem = self.error(code, span, message);
        problem.help = near.map(|near| format!("did you mean `{near}`?")).or(otherwise);
        problem.patch = patch;
    }

    fn unique(&mut self, scope: &Scope<'a>, step: &'a Step) {
        if step.id.is_empty() {
            return;
        }
        let innermost = scope.frames.len().saturating_sub(1);
        let first = scope.frames.iter().enumerate().find_map(|(depth, frame)| {
            let seen = if depth == innermost { frame.at } else { frame.block.steps.len() };
            frame.block.steps.iter().take(seen).find(|other| other.id == step.id)
        });
        if let Some(first) = first {
            let problem = self.error(code::DUPLICATE, &step.span, format!("the id `{}` is given twice", step.id));
            problem.related.push((first.span.clone(), "here, too".to_owned()));
            problem.help = Some("a step's id is its own among the steps around it; give it another one".to_owned());
        }
    }

    fn after(&mut self, scope: &Scope<'a>, step: &Step, id: &str, span: &Span) {
        let Some(frame) = scope.frames.last() else { return };
        let place = frame.block.steps.iter().position(|other| *other.id == *id);
        match place {
            Some(place) if place < frame.at => {}
            Some(place) if place == frame.at => {
                let message = format!("`{id}` cannot wait for itself");
                self.error(code::CYCLE, span, message).help = Some("remove it from `after`".to_owned());
            }
            Some(place) => {
                let later = frame.block.steps[place].span.clone();
                let (line, _) = self.workflow.source.line_column(later.start);
                let message =
                    format!("`{}` cannot wait for `{id}`, which stands further down, in line {line}", step.id);
                let problem = self.error(code::CYCLE, span, message);
                problem.related.push((later, "stands here".to_owned()));
                problem.help = Some(format!("move `{id}` up"));
            }
            None => {
                let is_outside = matches!(scope.find(id), Found::Earlier(_) | Found::Around(_) | Found::Later(_));
                let otherwise = is_outside.then(|| "`after` names steps of the same block only".to_owned());
                let known: Vec<_> = frame.block.steps.iter().take(frame.at).map(|step| &*step.id).collect();
                self.unknown(code::UNKNOWN_STEP, span, format!("no step `{id}` in this block"), id, &known, otherwise);
            }
        }
    }

    fn input(&mut self, site: &Use) {
        let Some(schema::Found::Absent { field, known, is_closed: true }) =
            site.path.get(1..).map(|path| schema::find(&self.workflow.input_schema, path))
        else {
            return;
        };
        let known: Vec<_> = known.iter().map(String::as_str).collect();
        let otherwise = if site.path.get(1) == Some(&field) {
            Some(format!("declare it under `input`: `{field}: string`"))
        } else {
            (1..=12).contains(&known.len()).then(|| format!("it has `{}`", known.join("`, `")))
        };
        self.unknown(code::UNKNOWN_INPUT, &site.span, format!("no input `{field}`"), &field, &known, otherwise);
    }

    fn steps(&mut self, scope: &Scope<'a>, site: &Use) {
        let Some(id) = site.path.get(1) else {
            self.error(code::UNKNOWN_ROOT, &site.span, "`steps` alone names no step".to_owned()).help =
                Some("name one, for example `steps.id.output`, so that it can be waited for".to_owned());
            return;
        };
        let line = |step: &Step| self.workflow.source.line_column(step.span.start).0;
        match scope.find(id) {
            Found::Earlier(step) => self.earlier(scope, step, site),
            Found::Itself => {
                let message = format!("`{id}` refers to itself");
                let help = if site.place == Place::Output {
                    "the step's own result is `result` here"
                } else {
                    "a step sees only the steps above it; in its `output` and `expect` its own result is `result`"
                };
                self.error(code::FORWARD_REFERENCE, &site.span, message).help = Some(help.to_owned());
            }
            Found::Around(step) => {
                let message = format!("this is a part of `{id}`, which has no output before it is over");
                let related = (step.span.clone(), "stands here".to_owned());
                let problem = self.error(code::FORWARD_REFERENCE, &site.span, message);
                problem.related.push(related);
                problem.help =
                    scope.has_result(site.place).then(|| "what came of the step is `result` here".to_owned());
            }
            Found::Later(step) => {
                let message = format!("`{id}` stands further down, in line {}", line(step));
                let problem = self.error(code::FORWARD_REFERENCE, &site.span, message);
                problem.related.push((step.span.clone(), "stands here".to_owned()));
                problem.help = Some(format!("move `{id}` up: a step sees only the steps above it"));
            }
            Found::Hidden(holder) if scope.is_within(holder) => {
                let message = format!("`{id}` is in another part of `{}`", holder.id);
                let problem = self.error(code::UNKNOWN_STEP, &site.span, message);
                problem.related.push((holder.span.clone(), "the step that holds both".to_owned()));
                problem.help = Some(
                    "the parts of a step do not see each other: put the two into one, or the other one above"
                        .to_owned(),
                );
            }
            Found::Hidden(holder) => self.hidden(holder, id, site),
            Found::Nothing => {
                let known: Vec<_> = scope.visible().collect();
                let otherwise = match known.as_slice() {
                    [] => Some("there is no step above this one".to_owned()),
                    _ => (known.len() <= 12).then(|| format!("the steps above are `{}`", known.join("`, `"))),
                };
                self.unknown(code::UNKNOWN_STEP, &site.span, format!("no step `{id}`"), id, &known, otherwise);
            }
        }
    }

    fn hidden(&mut self, holder: &Step, id: &str, site: &Use) {
        let is_branch =
            matches!(&holder.verb, Verb::Parallel(branches, _) if branches.iter().any(|branch| *branch.name == *id));
        let instead =
            if is_branch { format!("steps.{}.output.{id}", holder.id) } else { format!("steps.{}.output", holder.id) };
        let problem = self.error(
            code::UNKNOWN_STEP,
            &site.span,
            format!("`{id}` is a part of `{}` and cannot be seen from outside", holder.id),
        );
        problem.related.push((holder.span.clone(), "the step that holds it".to_owned()));
        problem.help = Some(format!("use `{instead}`"));
    }

    /// A reference to a step that is over: which part of it, and is it there?
    fn earlier(&mut self, scope: &Scope<'a>, step: &'a Step, site: &Use) {
        let id = &step.id;
        let Some(part) = site.path.get(2) else { return };
        if !STEP_PARTS.contains(&part.as_str()) {
            let otherwise = Some(format!("its result is `steps.{id}.output`, perhaps `steps.{id}.output.{part}`"));
            let message = format!("a step has no `{part}`");
            self.unknown(code::UNKNOWN_ROOT, &site.span, message, part, &STEP_PARTS, otherwise);
            return;
        }
        let is_deep = site.output_fields().is_some_and(|fields| !fields.is_empty());
        let may_miss = step.may_be_skipped() && step.default.is_none();
        if is_deep && may_miss && !site.guarded && !scope.is_guarded_against(step) {
            let why = if step.when.is_some() { "its `when` may not hold" } else { "it is `optional`" };
            let problem =
                self.error(code::UNGUARDED, &site.span, format!("`{id}` may be skipped, and then has no output"));
            problem.label = Some(format!("null if `{id}` is skipped"));
            problem.related.push((step.span.clone(), why.to_owned()));
            problem.help = Some(format!("give `{id}` a `default`, or guard with `|default(..)`"));
        }
    }

    /// A reference to what agents share.
    fn context(&mut self, site: &Use) {
        let keys = shared_keys(self.workflow);
        let known: Vec<_> = keys.iter().map(AsRef::as_ref).collect();
        if known.is_empty() {
            self.error(code::UNKNOWN_ROOT, &site.span, "no agent shares any `context`".to_owned()).help =
                Some("name what an `agent` step shares, for example `context: [findings]`".to_owned());
            return;
        }
        self.part(site, "context", &known);
    }

    fn part(&mut self, site: &Use, root: &str, known: &[&str]) {
        let Some(part) = site.path.get(1).filter(|part| !known.contains(&part.as_str())) else { return };
        let otherwise = Some(format!("it has `{}`", known.join("`, `")));
        self.unknown(code::UNKNOWN_ROOT, &site.span, format!("`{root}` has no `{part}`"), part, known, otherwise);
    }

    fn unknown_root(&mut self, scope: &Scope<'a>, owner: Option<&'a Step>, site: &Use, root: &str) {
        if UNSUPPORTED.contains(&root) {
            self.error(code::UNKNOWN_ROOT, &site.span, format!("`{root}` is not supported by this version"));
            return;
        }
        let binding = owner.and_then(|step| step.each.as_ref()).map(|each| &*each.binding);
        let help = match root {
            "trigger" => Some("`trigger` exists in the `input` and `when` of a trigger only: hand it on as input"),
            "event" => Some("`event` exists in the `where` of `await` only"),
            "error" => Some("`error` exists in `catch` and `on_failure` only"),
            "result" => Some("`result` exists in a step's `output`, `expect`, `repeat` and `undo` only"),
            "item" | "index" if binding.is_none() => Some("give the step a `for_each`"),
            _ if root == "index" || Some(root) == binding => {
                Some("`when`, `for_each` and `default` are decided once for the step, not for each item")
            }
            _ => None,
        };
        if let Some(help) = help {
            self.error(code::UNKNOWN_ROOT, &site.span, format!("there is no `{root}` here")).help =
                Some(help.to_owned());
            return;
        }
        let mut known = vec!["input", "steps", "run"];
        known.extend(scope.bound(owner, site.place));
        let otherwise = Some(format!("expressions see `{}` here", known.join("`, `")));
        self.unknown(code::UNKNOWN_ROOT, &site.span, format!("unknown name `{root}`"), root, &known, otherwise);
    }
}
