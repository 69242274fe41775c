//! The OpenAPI document: generated from the handlers, completed here with what all of them share.

use serde_json::{Map, Value, json};
use taskloom_protocol::Code;
use utoipa::OpenApi;

use crate::routes;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Taskloom",
        description = "Background tasks over HTTP: submit, watch, steer. Errors are `application/problem+json` with a stable `code`. A trailing slash is optional on every path.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    tags(
        (name = "auth", description = "Logins: tokens for a password, refresh, logout"),
        (name = "tasks", description = "Submit, read, list, steer and watch tasks"),
        (name = "workflows", description = "Tasks tied by dependencies: submit, follow, cancel, run again"),
        (name = "schedules", description = "Tasks that run by the clock"),
        (name = "users", description = "Oneself, and all users for admins"),
        (name = "api-keys", description = "Credentials for programs"),
        (name = "queues", description = "Queues, pauses and limits, for operators"),
        (name = "workers", description = "Workers as operators see them"),
        (name = "worker", description = "The worker protocol; needs an API key with the scope `worker`"),
        (name = "admin", description = "The installation as a whole, for admins"),
        (name = "health", description = "For people, restarters and load balancers"),
    ),
    components(schemas(taskloom_protocol::Problem)),
)]
struct Base;

/// What every document starts from.
pub(crate) fn base() -> utoipa::openapi::OpenApi {
    Base::openapi()
}

/// The OpenAPI 3.1 document of the whole API, as JSON.
pub fn document() -> Value {
    let (_, generated) = routes::api().split_for_parts();
    let mut document = serde_json::to_value(&generated).unwrap_or_default();
    if let Some(components) = document["components"].as_object_mut() {
        components.insert("securitySchemes".into(), security_schemes());
        // The names that serde writes stand in a macro's literals, which utoipa cannot see.
        let codes: Vec<_> = Code::ALL.iter().map(|code| code.code()).collect();
        components["schemas"]["Code"] =
            json!({ "type": "string", "description": "The stable code of a problem", "enum": codes });
        components.insert("responses".into(), json!({ "Problem": problem_response() }));
    }
    document["servers"] = json!([{ "url": "/", "description": "This server" }]);
    document["security"] = json!([{ "password": [] }, { "bearer": [] }, { "apiKey": [] }]);
    for (path, item) in document["paths"].as_object_mut().into_iter().flatten() {
        for operation in item.as_object_mut().into_iter().flatten().filter_map(|(_, o)| o.as_object_mut()) {
            complete(path, operation);
        }
    }
    document
}

fn security_schemes() -> Value {
    json!({
        "password": {
            "type": "oauth2",
            "description": "A user name and a password.",
            "flows": { "password": { "tokenUrl": "/api/v1/auth/token", "refreshUrl": "/api/v1/auth/refresh", "scopes": {} } },
        },
        "bearer": {
            "type": "http",
            "scheme": "bearer",
            "description": "An access token, or an API key.",
        },
        "apiKey": { "type": "apiKey", "in": "header", "name": "X-API-Key", "description": "An API key." },
    })
}

fn problem_response() -> Value {
    json!({
        "description": "A problem; its `code` says which",
        "content": { "application/problem+json": {
            "schema": { "$ref": "#/components/schemas/Problem" },
            "example": {
                "type": "/problems/validation", "title": "A field is not valid", "status": 422,
                "detail": "body.timeout: seconds from 0.001 to 315360000", "code": "validation",
                "request_id": "0b5f0f0e-5a3f-4a0e-9d0a-6a5a3f1f2b11",
                "errors": [{ "loc": ["body", "timeout"], "msg": "seconds from 0.001 to 315360000", "type": "out_of_range" }],
            },
        } },
    })
}

/// Adds the problems that a call can answer: they follow from what it takes.
fn complete(path: &str, operation: &mut Map<String, Value>) {
    let is_open = operation.get("security").is_some_and(|s| s == &json!([{}]) || s == &json!([]));
    if is_open {
        operation.insert("security".into(), json!([]));
    } else if path.starts_with("/api/v1/worker/") {
        operation.insert("security".into(), json!([{ "bearer": [] }, { "apiKey": [] }]));
    }
    let mut statuses = vec!["400", "408", "500", "503"];
    if !is_open {
        statuses.extend(["401", "403"]);
    }
    if operation.contains_key("parameters") || operation.contains_key("requestBody") {
        statuses.push("422");
    }
    if operation.contains_key("requestBody") {
        statuses.extend(["413", "415"]);
    }
    if path.contains('{') || path.starts_with("/api/v1/worker/") || path == "/api/v1/users/me" {
        statuses.push("404");
    }
    let id = operation.get("operationId").and_then(Value::as_str).unwrap_or_default().to_owned();
    // An idempotency key can outlive what was made for it.
    if id.starts_with("tasks_submit") || ["workflows_submit", "schedules_create"].contains(&id.as_str()) {
        statuses.push("404");
    }
    if can_conflict(&id) {
        statuses.push("409");
    }
    if id.starts_with("auth_") {
        statuses.extend(["401", "403", "429"]);
    }
    if let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) {
        for status in statuses {
            responses.entry(status).or_insert(json!({ "$ref": "#/components/responses/Problem" }));
        }
    }
}

/// Calls that another state or another request can stand in the way of.
fn can_conflict(operation_id: &str) -> bool {
    let groups = [
        "tasks_change",
        "tasks_cancel",
        "tasks_retry",
        "tasks_delete",
        "tasks_submit",
        "workflows_cancel",
        "workflows_retry",
        "schedules_change",
        "schedules_pause",
        "schedules_resume",
        "schedules_run",
        "worker_",
        "users_create",
    ];
    groups.iter().any(|group| operation_id.starts_with(group))
        || ["users_update", "api_keys_create", "auth_register", "workers_drain"].contains(&operation_id)
}
