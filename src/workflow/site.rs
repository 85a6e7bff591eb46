//! Where the parts of a workflow stand in its file, for problems that are only found once it has been read.

use crate::model::problem::Span;

/// Where the parts of a workflow stand.
#[derive(Debug, Clone, Default)]
pub struct WorkflowSites {
    /// Its name.
    pub name: Span,
    /// The value of `annotations`.
    pub annotations: Span,
    /// What its `output` refers to.
    pub uses: Vec<Use>,
}

/// Where the parts of a step stand.
#[derive(Debug, Clone, Default)]
pub struct StepSites {
    /// The call that its verb makes, if it makes one.
    pub call: CallSite,
    /// The calls of its `fallback`, one for each entry; empty spans for a value.
    pub fallback: Vec<CallSite>,
    /// Its `when`.
    pub when: Option<Span>,
    /// The names in `after`, one for each.
    pub after: Vec<Span>,
    /// What the step's own expressions refer to, those of nested steps left out.
    pub uses: Vec<Use>,
}

/// Where the parts of a call stand.
#[derive(Debug, Clone, Default)]
pub struct CallSite {
    /// The name of the tool or workflow.
    pub target: Span,
    /// The arguments, if they are written out.
    pub arguments: Vec<ArgumentSite>,
}

/// Where one argument stands.
#[derive(Debug, Clone)]
pub struct ArgumentSite {
    /// Its name.
    pub name: String,
    /// Where the name stands.
    pub key: Span,
    /// Where its value stands.
    pub value: Span,
}

/// One reference in an expression: `steps.contact.output.phone`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    /// The root and the fields below it.
    pub path: Vec<String>,
    /// Whether the expression itself deals with a missing value, for instance by `|default(…)`.
    pub guarded: bool,
    /// What it is part of.
    pub place: Place,
    /// Where it stands.
    pub span: Span,
}

impl Use {
    /// The step that it refers to, if it refers to one.
    pub fn step(&self) -> Option<&str> {
        match self.path.as_slice() {
            [root, step, ..] if root == "steps" => Some(step),
            _ => None,
        }
    }

    /// The fields below a step's output; `None` if it does not refer to a step's output.
    pub fn output_fields(&self) -> Option<&[String]> {
        match self.path.as_slice() {
            [root, _, part, fields @ ..] if root == "steps" && matches!(part.as_str(), "output" | "result") => {
                Some(fields)
            }
            _ => None,
        }
    }
}

/// The part of a step that an expression belongs to; it decides which names the expression sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// `when`, `for_each`, `default` and the workflow's own `output`: no item, no result, no error.
    Outside,
    /// What runs once for each item.
    Inside,
    /// `output`: sees `result`, too.
    Output,
    /// `catch`: sees `error`, too.
    Catch,
    /// `input` and `when` of a trigger: sees `trigger` only.
    Trigger,
    /// `where` of `await`: sees `event`, too.
    Event,
}
