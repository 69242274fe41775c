//! A node: a task's fields and its place in the graph, in one object.

use std::borrow::Cow;
use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeSeed, Deserializer, Error, IntoDeserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Schema, Type};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use crate::{Json, SubmitTask};

/// A node of a workflow.
#[derive(Debug, Clone, Default, Serialize)]
pub struct WorkflowNode {
    /// Its name within the workflow: 1 to 100 letters, digits, `_` or `-`.
    pub key: String,
    /// Nodes that must end first, by key, besides those that its arguments refer to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<String>,
    /// One child task for each element of a list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub map: Option<MapOver>,
    /// What to run; its own `depends_on` stays empty.
    #[serde(flatten)]
    pub task: SubmitTask,
}

/// What a map node fans out over.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MapOver {
    /// A list of up to 10,000 elements, or `{"$result": …}` that gives one.
    #[schema(value_type = serde_json::Value)]
    pub over: Json,
}

impl WorkflowNode {
    /// A node that waits for what its arguments refer to.
    pub fn new(key: impl Into<String>, task: SubmitTask) -> Self {
        Self { key: key.into(), task, ..Self::default() }
    }
}

impl<'de> Deserialize<'de> for WorkflowNode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = WorkflowNode;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a node")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        let mut own = Own::default();
        let rest = TaskFields { map, own: &mut own };
        let task = SubmitTask::deserialize(MapAccessDeserializer::new(rest))?;
        let key = own.key.ok_or_else(|| A::Error::missing_field("key"))?;
        Ok(WorkflowNode { key, depends_on: own.depends_on.unwrap_or_default(), map: own.map.flatten(), task })
    }
}

/// The fields that are a node's and not a task's.
#[derive(Default)]
struct Own {
    key: Option<String>,
    depends_on: Option<Vec<String>>,
    #[expect(clippy::option_option, reason = "a null that is given twice is given twice")]
    map: Option<Option<MapOver>>,
}

/// The entries of the object without those that are the node's own: the task reads them as if they were all.
struct TaskFields<'o, A> {
    map: A,
    own: &'o mut Own,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for TaskFields<'_, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        while let Some(key) = self.map.next_key::<Cow<'de, str>>()? {
            match &*key {
                "key" => once(&mut self.own.key, "key", self.map.next_value()?)?,
                "depends_on" => once(&mut self.own.depends_on, "depends_on", self.map.next_value()?)?,
                "map" => once(&mut self.own.map, "map", self.map.next_value()?)?,
                _ => return seed.deserialize(key.into_deserializer()).map(Some),
            }
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.map.next_value_seed(seed)
    }
}

fn once<T, E: Error>(field: &mut Option<T>, name: &'static str, value: T) -> Result<(), E> {
    if field.replace(value).is_some() { Err(E::duplicate_field(name)) } else { Ok(()) }
}

impl PartialSchema for WorkflowNode {
    /// A task's schema with the node's own fields in it.
    fn schema() -> RefOr<Schema> {
        let RefOr::T(Schema::Object(mut object)) = SubmitTask::schema() else { return SubmitTask::schema() };
        let text = || ObjectBuilder::new().schema_type(Type::String);
        let key = text().pattern(Some("^[A-Za-z0-9_-]+$")).min_length(Some(1)).max_length(Some(100));
        let key = key.description(Some("Its name within the workflow"));
        let parents = ArrayBuilder::new().items(text().build());
        let parents = parents.description(Some("Nodes that must end first, by key"));
        object.properties.insert("key".into(), RefOr::T(key.build().into()));
        object.properties.insert("depends_on".into(), RefOr::T(parents.build().into()));
        object.properties.insert("map".into(), RefOr::Ref(Ref::from_schema_name("MapOver")));
        object.required.push("key".into());
        object.description = Some("A task, and its place in a workflow".into());
        RefOr::T(Schema::Object(object))
    }
}

impl ToSchema for WorkflowNode {
    fn name() -> Cow<'static, str> {
        "WorkflowNode".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        SubmitTask::schemas(schemas);
        schemas.push(("MapOver".into(), MapOver::schema()));
        MapOver::schemas(schemas);
    }
}
