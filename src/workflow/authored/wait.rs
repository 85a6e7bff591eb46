//! `wait`: a length of time, or `until` a point in time.

use crate::document::node::{Node, Value};
use crate::expr::template::Template;
use crate::model::code;
use crate::workflow::authored::author::Author;
use crate::workflow::moment;
use crate::workflow::site::{Place, StepSites};
use crate::workflow::verb::Wait;

/// The wait, if it can be made out.
pub(super) fn read(author: &mut Author, node: &Node, what: &str, inside: Place, sites: &mut StepSites) -> Option<Wait> {
    let what = format!("{what}.wait");
    if !matches!(node.value, Value::Table(_)) {
        let template = author.template(node, inside, &mut sites.uses);
        if !matches!(template, Template::Text(_)) && !author.has_problem_in(&node.span) {
            author.reader.duration(node, &what)?;
        }
        return Some(Wait::For(template));
    }
    let mut table = author.reader.table(node, &what)?;
    let until = table.require(&mut author.reader, "until");
    let template = until.map(|until| {
        let template = author.template(until, inside, &mut sites.uses);
        let is_constant = !matches!(template, Template::Text(_)) && !author.has_problem_in(&until.span);
        if is_constant && moment::parse(&until.to_json()).is_none() {
            let span = author.head(&until.span);
            let message = format!("`{what}.until` must be a point in time");
            author.reader.error(code::WRONG_VALUE, span, message).help =
                Some("for example `2027-01-31T08:00:00Z`, or milliseconds since 1970".to_owned());
        }
        template
    });
    table.finish(&mut author.reader);
    template.map(Wait::Until)
}
