//! Workflows from a submission to another run.

use serde_json::json;
use taskloom_client::{
    Code, ListWorkflows, MapOver, Status, SubmitTask, SubmitWorkflow, WorkflowNode, to_json,
};

use crate::server::{PATIENCE, Server};

#[tokio::test]
async fn a_graph_runs_to_its_result() {
    let server = Server::start().await;
    let client = server.client("ann").await;
    let extract = client.task("demo.echo").kwargs(json!({"rows": [1, 2, 3]})).build().unwrap();
    let each = client.task("demo.echo").args(json!([{"$item": ""}])).build().unwrap();
    let report = client.task("demo.echo").args(json!([{"$result": "each"}])).build().unwrap();
    let map = MapOver { over: to_json(&json!({"$result": "extract.kwargs/rows"})).unwrap() };
    let graph = SubmitWorkflow::new("nightly")
        .node("extract", extract)
        .with(WorkflowNode { map: Some(map), ..WorkflowNode::new("each", each) })
        .node_after("report", report, ["extract"]);
    let submitted = client.workflows().submit_keyed(&graph, "night").await.unwrap();
    assert!(!submitted.deduplicated);
    let again = client.workflows().submit_keyed(&graph, "night").await.unwrap();
    assert_eq!((again.id, again.deduplicated), (submitted.id, true));

    let ended = client.workflows().wait(submitted.id, PATIENCE).await.unwrap();
    assert_eq!((ended.status, ended.counts.total, ended.tasks.is_none()), (Status::Succeeded, 6, true));
    let report = *submitted.tasks.get("report").unwrap();
    let result: serde_json::Value = client.tasks().wait_for(report, PATIENCE).await.unwrap();
    assert_eq!(result["args"][0][2]["args"], json!([3]));
    let whole = client.workflows().get(submitted.id).await.unwrap();
    assert_eq!(whole.tasks.unwrap().get("each").unwrap().items.unwrap().succeeded, 3);
    assert_eq!(client.workflows().tasks(submitted.id).unwrap().all().await.unwrap().len(), 6);

    let verdict = client.workflows().retry_from(submitted.id, "report").await.unwrap();
    assert_eq!(verdict.tasks, 1);
    assert_eq!(client.workflows().wait(submitted.id, PATIENCE).await.unwrap().status, Status::Succeeded);
}

#[tokio::test]
async fn a_workflow_is_cancelled_and_run_again() {
    let server = Server::start().await;
    let client = server.client("ann").await;
    let graph = SubmitWorkflow::new("w").node("a", SubmitTask::new("test.gated")).node_after(
        "b",
        SubmitTask::new("demo.echo"),
        ["a"],
    );
    let id = client.workflows().submit(&graph).await.unwrap().id;
    let unfinished = client.workflows().wait(id, std::time::Duration::ZERO).await.unwrap();
    assert!(matches!(unfinished.status, Status::Pending | Status::Running));
    let verdict = client.workflows().cancel_by_force(id).await.unwrap();
    assert_eq!(verdict.workflow.status, Status::Revoked);
    assert_eq!(client.workflows().summary(id).await.unwrap().counts.revoked, 2);
    // One for the handler that was left at the gate.
    server.gate.add_permits(2);
    assert_eq!(client.workflows().retry(id).await.unwrap().tasks, 2);
    assert_eq!(client.workflows().wait(id, PATIENCE).await.unwrap().status, Status::Succeeded);
    let page = client.workflows().page(&ListWorkflows::default()).await.unwrap();
    assert_eq!((page.items[0].id, page.items.len()), (id, 1));
    client.workflows().submit(&graph).await.unwrap();
    let pages =
        client.workflows().list(&ListWorkflows { limit: Some(1), ..ListWorkflows::default() }).unwrap();
    assert_eq!(pages.all().await.unwrap().len(), 2);
    client.workflows().cancel(id).await.unwrap_err();

    let cycle = SubmitWorkflow::new("w").node_after("a", SubmitTask::new("t"), ["a"]);
    let error = client.workflows().submit(&cycle).await.unwrap_err();
    assert_eq!(error.code(), Some(Code::Validation));
    assert!(error.to_string().starts_with("tasks.0.depends_on: "), "{error}");
}
