//! The rules for workflows, and the graph that a good one makes.

use std::collections::{HashMap, HashSet};

use serde_json::value::RawValue;
use taskloom_model::{Dag, DagError, Node};
use uuid::Uuid;

use super::{SubmitWorkflow, WorkflowNode};
use crate::reference::{
    Literals, Put, Reference, ReferenceError, may_be_list, may_refer, missing, references_submitted, replace,
};
use crate::{FieldError, Json, Limits};

/// Dependencies in one workflow.
pub const MAX_EDGES: usize = 100_000;
/// Errors told at once.
const TOLD: usize = 100;

/// What a good workflow is made of.
#[derive(Debug)]
pub struct WorkflowPlan {
    /// Who waits for whom, by the nodes' places.
    pub dag: Dag,
    /// Whether a node's arguments refer to results, by its place.
    pub has_inputs: Vec<bool>,
}

impl SubmitWorkflow {
    /// Checks everything and ties the nodes together.
    ///
    /// # Errors
    /// Each field that breaks a rule: `body.tasks.3.key`.
    pub fn plan(&self, limits: &Limits) -> Result<WorkflowPlan, Vec<FieldError>> {
        let mut found = Vec::new();
        if let Some(name) = &self.name {
            if name.chars().count() > 200 {
                found.push(FieldError::body("name", "too_long", "at most 200 characters"));
            } else if name.chars().any(char::is_control) {
                found.push(FieldError::body(
                    "name",
                    "bad_character",
                    "has a character that is not allowed here",
                ));
            }
        }
        if self.tasks.is_empty() || self.tasks.len() > limits.batch {
            found.push(FieldError::body("tasks", "out_of_range", format!("1 to {} nodes", limits.batch)));
            return Err(found);
        }
        let keys: HashSet<&str> = self.tasks.iter().map(|node| node.key.as_str()).collect();
        let mut referred = Vec::with_capacity(self.tasks.len());
        for (place, node) in self.tasks.iter().enumerate() {
            let mut errors = node.task.check(limits);
            node.check_own(limits, &mut errors);
            referred.push(node.referred(&keys, &mut errors));
            found.extend(errors.into_iter().map(|error| error.at_task(place)));
            if found.len() >= TOLD {
                return Err(found);
            }
        }
        if found.is_empty() { self.tie(&referred) } else { Err(found) }
    }

    fn tie(&self, referred: &[Vec<String>]) -> Result<WorkflowPlan, Vec<FieldError>> {
        let nodes: Vec<Node<'_>> = self
            .tasks
            .iter()
            .zip(referred)
            .map(|(node, referred)| {
                let depends_on = node.depends_on.iter().chain(referred).map(String::as_str).collect();
                Node { key: &node.key, depends_on }
            })
            .collect();
        let dag = Dag::new(&nodes)
            .map_err(|errors| errors.iter().take(TOLD).map(graph_error).collect::<Vec<_>>())?;
        if dag.edges() > MAX_EDGES {
            let rule = format!("at most {MAX_EDGES} dependencies in a workflow");
            return Err(vec![FieldError::body("tasks", "too_long", rule)]);
        }
        let has_inputs = referred.iter().map(|referred| !referred.is_empty()).collect();
        Ok(WorkflowPlan { dag, has_inputs })
    }
}

fn graph_error(error: &DagError) -> FieldError {
    let (field, kind) = match error {
        DagError::DuplicateKey { .. } => ("key", "duplicate"),
        DagError::UnknownKey { .. } => ("depends_on", "unknown_key"),
        DagError::SelfDependency { .. } | DagError::Cycle { .. } => ("depends_on", "cycle"),
    };
    FieldError::body(field, kind, error.to_string()).at_task(error.node())
}

impl WorkflowNode {
    fn check_own(&self, limits: &Limits, errors: &mut Vec<FieldError>) {
        let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        if self.key.is_empty() || self.key.len() > 100 || !self.key.chars().all(is_word) {
            let rule = "1 to 100 letters, digits, '_' or '-'";
            errors.push(FieldError::body("key", "bad_key", rule));
        }
        if !self.task.depends_on.is_empty() {
            errors.push(FieldError::body("depends_on", "bad_key", "name nodes by their keys"));
        }
        // A node is a task of its own: no other one takes its place.
        for (field, is_given) in
            [("unique_key", self.task.unique_key.is_some()), ("cache_ttl", self.task.cache_ttl.is_some())]
        {
            if is_given {
                errors.push(FieldError::body(field, "not_supported", "not for a node of a workflow"));
            }
        }
        let Some(map) = &self.map else { return };
        if map.over.get().len() > limits.payload_bytes {
            let rule = format!("at most {} bytes", limits.payload_bytes);
            errors.push(FieldError::body("map.over", "too_long", rule));
        } else if let Err(error) = crate::check_json(map.over.get(), limits.depth) {
            errors.push(FieldError::body("map.over", "bad_json", error.to_string()));
        } else if !may_be_list(map.over.get()) {
            let rule = "a list, or {\"$result\": …} that gives one";
            errors.push(FieldError::body("map.over", "wrong_type", rule));
        } else if serde_json::from_str::<Vec<&RawValue>>(map.over.get()).is_ok_and(|l| l.len() > limits.batch)
        {
            let rule = format!("a list of at most {} elements", limits.batch);
            errors.push(FieldError::body("map.over", "too_long", rule));
        }
    }

    /// The keys that arguments refer to.
    fn referred(&self, keys: &HashSet<&str>, errors: &mut Vec<FieldError>) -> Vec<String> {
        let mut referred = Vec::new();
        for (field, json) in self.texts() {
            match references_submitted(json.get()) {
                Ok(found) => {
                    for reference in found {
                        let is_item = matches!(reference, Reference::Item { .. } | Reference::Index);
                        match reference {
                            Reference::Result { of, .. } if keys.contains(of.as_str()) => referred.push(of),
                            Reference::Result { of, .. } if of.is_empty() => {
                                let rule = "names no node: $result takes a node's key, such as \"extract\", \
                                            or one with a path, such as \"extract.rows/0\"";
                                errors.push(FieldError::body(field, "bad_reference", rule));
                            }
                            Reference::Result { of, .. } => {
                                let of: String = of.chars().filter(|c| !c.is_control()).take(100).collect();
                                let rule = format!("refers to {of}, which is not in this workflow");
                                errors.push(FieldError::body(field, "unknown_key", rule));
                            }
                            _ if is_item && (self.map.is_none() || field == "map.over") => {
                                let rule = "$item and $index stand in the arguments of a node with a map";
                                errors.push(FieldError::body(field, "bad_reference", rule));
                            }
                            _ => {}
                        }
                    }
                }
                // What is no JSON was told already.
                Err(ReferenceError::Malformed(rule)) => {
                    errors.push(FieldError::body(field, "bad_reference", rule));
                }
                Err(_) => {}
            }
        }
        referred
    }

    fn texts(&self) -> impl Iterator<Item = (&'static str, &Json)> {
        let over = self.map.as_ref().map(|map| &map.over);
        [("args", self.task.args.as_ref()), ("kwargs", self.task.kwargs.as_ref()), ("map.over", over)]
            .into_iter()
            .filter_map(|(field, json)| json.map(|json| (field, json)))
    }

    /// Writes ids where arguments name nodes by key. A node that refers to none loses its literals' wrapping here, since
    /// nobody looks again; a map's children get theirs looked at when they are made.
    pub fn resolve(&mut self, ids: &HashMap<String, Uuid>, has_inputs: bool) -> Result<(), ReferenceError> {
        let is_last_look = !has_inputs && self.map.is_none();
        let literals = if is_last_look { Literals::Unwrap } else { Literals::Keep };
        let Self { task, map, .. } = self;
        let over = map.as_mut().map(|map| &mut map.over);
        for json in [task.args.as_mut(), task.kwargs.as_mut(), over].into_iter().flatten() {
            if may_refer(json.get()) {
                *json = name_by_id(json.get(), ids, literals)?;
            }
        }
        Ok(())
    }
}

fn name_by_id(text: &str, ids: &HashMap<String, Uuid>, literals: Literals) -> Result<Json, ReferenceError> {
    replace(text, literals, usize::MAX, &mut |reference| {
        let Reference::Result { of, path } = reference else { return Ok(Put::Keep) };
        let id = ids.get(of).ok_or_else(|| missing(reference, "there is no such node"))?;
        let named = Reference::Result { of: id.to_string(), path: path.clone() };
        let named = serde_json::to_string(&named.to_string()).map_err(|_| ReferenceError::NotJson)?;
        Ok(Put::Json(format!("{{\"$result\":{named}}}").into()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workflow(tasks: &str) -> SubmitWorkflow {
        serde_json::from_str(&format!(r#"{{"name":"w","tasks":[{tasks}]}}"#)).unwrap()
    }

    fn told(tasks: &str) -> Vec<String> {
        let errors = workflow(tasks).plan(&Limits::default()).unwrap_err();
        errors.iter().map(|error| format!("{} [{}] {}", error.loc.join("."), error.kind, error.msg)).collect()
    }

    #[test]
    fn references_imply_dependencies() {
        let mut workflow = workflow(
            r#"{"key":"load","task":"t","kwargs":{"rows":{"$result":"extract.rows/0"}},"depends_on":["check"]},
               {"key":"check","task":"t","args":[{"$literal":{"$result":"x"}}]},
               {"key":"extract","task":"t"},
               {"key":"each","task":"t","map":{"over":{"$result":"extract"}},"args":[{"$item":"a"},{"$index":true}]}"#,
        );
        let plan = workflow.plan(&Limits::default()).unwrap();
        assert_eq!((plan.dag.parents(0), plan.dag.parents(3)), ([1, 2].as_slice(), [2].as_slice()));
        assert_eq!(plan.has_inputs, [true, false, false, true]);
        let ids: HashMap<String, Uuid> =
            workflow.tasks.iter().map(|node| (node.key.clone(), Uuid::from_u128(7))).collect();
        for (node, has_inputs) in workflow.tasks.iter_mut().zip(plan.has_inputs) {
            node.resolve(&ids, has_inputs).unwrap();
        }
        let id = Uuid::from_u128(7);
        let rows = format!(r#"{{"rows":{{"$result":"{id}.rows/0"}}}}"#);
        assert_eq!(workflow.tasks[0].task.kwargs.as_ref().unwrap().get(), rows);
        assert_eq!(workflow.tasks[1].task.args.as_ref().unwrap().get(), r#"[{"$result":"x"}]"#);
        let over = &workflow.tasks[3].map.as_ref().unwrap().over;
        assert_eq!(over.get(), format!(r#"{{"$result":"{id}"}}"#));
    }

    #[test]
    fn errors_name_the_node_and_the_field() {
        let cycle = r#"{"key":"a","task":"t","depends_on":["c"]},{"key":"b","task":"t","depends_on":["a"]},
            {"key":"c","task":"t","args":[{"$result":"b"}]}"#;
        assert_eq!(
            told(cycle),
            ["body.tasks.0.depends_on [cycle] the nodes wait for each other: a → b → c → a"]
        );
        let several = r#"{"key":"a b","task":"t"},{"key":"b","task":"","args":[{"$result":"c"},{"$item":""}]},
            {"key":"d","task":"t","unique_key":"u","map":{"over":1}}"#;
        let told = told(several).join("\n");
        for expected in [
            "body.tasks.0.key [bad_key]",
            "body.tasks.1.task [missing]",
            "body.tasks.1.args [unknown_key] refers to c, which is not in this workflow",
            "body.tasks.1.args [bad_reference]",
            "body.tasks.2.unique_key [not_supported]",
            "body.tasks.2.map.over [wrong_type]",
        ] {
            assert!(told.contains(expected), "{expected} in\n{told}");
        }
        assert_eq!(
            super::tests::told(r#"{"key":"a","task":"t"},{"key":"a","task":"t","depends_on":["b"]}"#),
            [
                "body.tasks.1.key [duplicate] another node has the key a already",
                "body.tasks.1.depends_on [unknown_key] a depends on b, which is not in this workflow",
            ]
        );
    }

    #[test]
    fn a_reference_to_nothing_says_what_one_looks_like() {
        for nothing in ["", ".rows"] {
            let told = told(&format!(r#"{{"key":"a","task":"t","args":[{{"$result":"{nothing}"}}]}}"#));
            assert_eq!(told.len(), 1, "{told:?}");
            assert!(told[0].starts_with("body.tasks.0.args [bad_reference] names no node: "), "{told:?}");
            assert!(told[0].ends_with(r#"such as "extract.rows/0""#), "{told:?}");
        }
    }

    #[test]
    fn a_map_goes_over_what_can_be_a_list() {
        let over = |over: &str| {
            format!(r#"{{"key":"a","task":"t"}},{{"key":"b","task":"t","map":{{"over":{over}}}}}"#)
        };
        for good in
            ["[]", "[{\"a\":1}]", r#"{"$result":"a"}"#, r#"{"\u0024result":"a.rows"}"#, r#"{"$literal":[1]}"#]
        {
            assert!(workflow(&over(good)).plan(&Limits::default()).is_ok(), "{good}");
        }
        let rule = "body.tasks.1.map.over [wrong_type] a list, or {\"$result\": …} that gives one";
        for bad in [
            r#"{"a":1}"#,
            "{}",
            "7",
            r#""a""#,
            r#"{"$set":[1]}"#,
            r#"{"$literal":{"a":1}}"#,
            r#"{"$literal":1}"#,
        ] {
            assert_eq!(told(&over(bad)), [rule], "{bad}");
        }
        // What is written wrongly is told as that.
        assert_eq!(
            told(&over(r#"{"$result":1}"#)),
            ["body.tasks.1.map.over [bad_reference] $result takes a text"]
        );
    }

    #[test]
    fn a_node_is_a_task_and_a_little_more() {
        let read = |text: &str| serde_json::from_str::<WorkflowNode>(text);
        let text =
            r#"{"key":"a","depends_on":["b"],"task":"t","args":[1.50],"on_parent_failure":"continue"}"#;
        let node = read(text).unwrap();
        assert_eq!(serde_json::to_string(&node).unwrap(), text);
        for (text, error) in [
            (r#"{"task":"t"}"#, "missing field `key`"),
            (r#"{"key":"a","key":"b","task":"t"}"#, "duplicate field `key`"),
            (r#"{"key":"a","tusk":"t"}"#, "unknown field `tusk`"),
        ] {
            let told = read(text).unwrap_err().to_string();
            assert!(told.contains(error), "{told}");
        }
    }
}
