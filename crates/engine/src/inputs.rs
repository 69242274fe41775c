//! Arguments that refer to the results of other tasks: checked at submission, filled in when a worker takes the task.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

use taskloom_model::{Finish, SessionId, State, TaskId, Ties};
use taskloom_protocol::reference::{
    Literals, Put, Reference, ReferenceError, may_refer, missing, references, references_submitted, replace,
    walk,
};
use taskloom_protocol::{Claimed, FieldError, Json, SubmitTask, TaskError, TaskRef};
use taskloom_store::{Claims, FinishItem, Note, ResultSize, StoreError};
use uuid::Uuid;

use crate::Engine;

/// Bytes of arguments with what they refer to.
pub(crate) const FILLED: usize = 4 << 20;
/// Bytes of results that one claim reads; tasks that would need more are given back, or fail if they alone do.
const READ: u64 = 16 << 20;

/// Checks the references of a task that is submitted by itself: each names a task in its `depends_on`. Gives whether
/// there are any. A task that depends on none has arguments that mean nothing but themselves.
pub(crate) fn prepare(task: &mut SubmitTask) -> Result<bool, FieldError> {
    if task.depends_on.is_empty() {
        return Ok(false);
    }
    let mut has_inputs = false;
    for (field, json) in [("args", &task.args), ("kwargs", &task.kwargs)] {
        let Some(json) = json else { continue };
        let bad = |rule: String| FieldError::body(field, "bad_reference", rule);
        for reference in references_submitted(json.get()).map_err(|error| bad(error.to_string()))? {
            let Reference::Result { of, .. } = reference else {
                return Err(bad("$item and $index stand in the maps of workflows".into()));
            };
            if !of.parse().is_ok_and(|id: Uuid| task.depends_on.contains(&id)) {
                return Err(bad("$result names a task that is not in depends_on".into()));
            }
            has_inputs = true;
        }
    }
    if !has_inputs {
        for (field, json) in [("args", &mut task.args), ("kwargs", &mut task.kwargs)] {
            let Some(json) = json.as_mut().filter(|json| may_refer(json.get())) else { continue };
            let bare = replace(json.get(), Literals::Unwrap, usize::MAX, &mut |_| Ok(Put::Keep));
            *json = bare.map_err(|error| FieldError::body(field, "bad_reference", error.to_string()))?;
        }
    }
    Ok(has_inputs)
}

/// Whom the text refers to.
fn referred(texts: &[&str]) -> HashSet<TaskId> {
    let all = texts.iter().filter_map(|text| references(text).ok()).flatten();
    all.filter_map(|reference| match reference {
        Reference::Result { of, .. } => of.parse().ok(),
        _ => None,
    })
    .collect()
}

/// How the tasks that are referred to have ended; children of maps with them.
#[derive(Default)]
pub(crate) struct Parents {
    sizes: HashMap<TaskId, ResultSize>,
    /// Children by map, in order.
    children: HashMap<TaskId, Vec<TaskId>>,
}

impl Parents {
    /// Everything whose result is needed for a reference to this one.
    fn needed(&self, id: TaskId) -> impl Iterator<Item = TaskId> + '_ {
        let children = self.children.get(&id).map(Vec::as_slice);
        let own = children.is_none().then_some(id);
        children.unwrap_or_default().iter().copied().chain(own)
    }

    fn bytes(&self, ids: &HashSet<TaskId>) -> u64 {
        ids.iter().filter_map(|id| self.sizes.get(id)).map(|size| size.bytes).sum()
    }
}

/// What the references of some tasks stand for.
pub(crate) struct Results {
    parents: Parents,
    json: HashMap<TaskId, Json>,
}

impl Results {
    /// The text with all that it refers to.
    pub(crate) fn fill(&self, text: &str) -> Result<Json, ReferenceError> {
        replace(text, Literals::Unwrap, FILLED, &mut |reference| {
            let Reference::Result { of, path } = reference else { return Ok(Put::Keep) };
            let id = of.parse().map_err(|_| missing(reference, "no task's id"))?;
            self.look_up(reference, id, path.as_deref())
        })
    }

    fn look_up(
        &self,
        reference: &Reference,
        id: TaskId,
        path: Option<&str>,
    ) -> Result<Put<'_>, ReferenceError> {
        let parent =
            self.parents.sizes.get(&id).ok_or_else(|| missing(reference, "there is no such task"))?;
        match parent.state {
            None => Err(missing(reference, "it has not ended")),
            // Whoever goes on without it gets nothing from it.
            Some(State::Failed | State::Revoked) => Ok(Put::Json("null".into())),
            Some(_) => {
                let list = match self.parents.children.get(&id) {
                    Some(children)
                        if children.iter().any(|child| !self.parents.sizes.contains_key(child)) =>
                    {
                        return Err(missing(reference, "some of its tasks are forgotten already"));
                    }
                    children => children.map(|children| self.list(children)),
                };
                let whole = match &list {
                    Some(list) => list.as_str(),
                    None => self.json.get(&id).map_or("null", |json| json.get()),
                };
                let found = walk(whole, path).map_err(|why| missing(reference, &why))?;
                Ok(Put::Json(found.to_owned().into()))
            }
        }
    }

    /// The results of a map's children; null for one that has none.
    fn list(&self, children: &[TaskId]) -> String {
        let mut list = String::from("[");
        for (place, child) in children.iter().enumerate() {
            let comma = if place > 0 { "," } else { "" };
            let json = self.json.get(child).map_or("null", |json| json.get());
            // Writing to a text cannot fail.
            let _ = write!(list, "{comma}{json}");
        }
        list.push(']');
        list
    }
}

/// What a task cannot start without.
pub(crate) fn input_error(error: &ReferenceError) -> TaskError {
    let kind = match error {
        ReferenceError::TooLarge { .. } => "input_too_large",
        _ => "missing_input",
    };
    TaskError { kind: kind.into(), message: error.to_string(), traceback: None }
}

fn too_much() -> TaskError {
    let message = format!("the results that it refers to take more than {READ} bytes");
    TaskError { kind: "input_too_large".into(), message, traceback: None }
}

/// What becomes of a claimed task.
enum Verdict {
    Starts,
    GivenBack,
    Fails(TaskError),
}

impl Engine {
    /// Fills in what claimed tasks refer to. Those for which that cannot be fail at once; those for which there is no room
    /// now go back.
    pub(crate) async fn fill_inputs(&self, session: SessionId, claims: &mut Claims) {
        let refers = |task: &Claimed| task.ties.has(Ties::INPUTS) && !task.ties.has(Ties::MAP);
        if !claims.claimed.iter().any(refers) {
            return;
        }
        let (mut ready, mut others) = (Vec::new(), Vec::new());
        for task in claims.claimed.drain(..) {
            if refers(&task) { others.push(task) } else { ready.push(task) }
        }
        let (mut back, mut failed) = (Vec::new(), Vec::new());
        match self.fill_each(&mut others).await {
            Ok(verdicts) => {
                for (task, verdict) in others.into_iter().zip(verdicts) {
                    match verdict {
                        Verdict::Starts => ready.push(task),
                        Verdict::GivenBack => back.push(held(&task)),
                        Verdict::Fails(error) => failed.push(failure(&task, error)),
                    }
                }
            }
            Err(error) => {
                tracing::warn!(%error, "the results that tasks refer to cannot be read right now");
                back.extend(others.iter().map(held));
            }
        }
        claims.claimed = ready;
        claims.cut |= !back.is_empty();
        let store = &self.inner.store;
        let now = self.now();
        // Should this fail, their leases end, and another claim finds them.
        if let (false, Ok((steps, _))) = (back.is_empty(), store.task_drain(session, back, now).await) {
            self.announce(&steps);
        }
        if !failed.is_empty()
            && let Ok((steps, _)) = store.task_finish(session, failed, now).await
        {
            claims.expired.extend(steps);
        }
    }

    async fn fill_each(&self, tasks: &mut [Claimed]) -> Result<Vec<Verdict>, StoreError> {
        let wanted: Vec<HashSet<TaskId>> =
            tasks.iter().map(|task| referred(&[task.args.get(), task.kwargs.get()])).collect();
        let parents = self.parents(wanted.iter().flatten().copied().collect()).await?;
        let mut reads: HashSet<TaskId> = HashSet::new();
        let mut verdicts: Vec<Verdict> = Vec::with_capacity(tasks.len());
        for wanted in &wanted {
            let needed: HashSet<TaskId> = wanted.iter().flat_map(|id| parents.needed(*id)).collect();
            verdicts.push(if parents.bytes(&needed) > READ {
                Verdict::Fails(too_much())
            } else {
                let with: HashSet<TaskId> = reads.union(&needed).copied().collect();
                if parents.bytes(&with) > READ {
                    Verdict::GivenBack
                } else {
                    reads = with;
                    Verdict::Starts
                }
            });
        }
        let json = self.inner.store.task_results(reads.into_iter().collect()).await?.into_iter().collect();
        let results = Results { parents, json };
        let mut made = 0;
        for (task, verdict) in tasks.iter_mut().zip(&mut verdicts) {
            if !matches!(verdict, Verdict::Starts) {
                continue;
            }
            match results.fill(task.args.get()).and_then(|args| Ok((args, results.fill(task.kwargs.get())?)))
            {
                Ok((args, kwargs)) if args.get().len() + kwargs.get().len() <= FILLED => {
                    let bytes = args.get().len() + kwargs.get().len();
                    if made > 0 && made + bytes > FILLED {
                        *verdict = Verdict::GivenBack;
                    } else {
                        made += bytes;
                        (task.args, task.kwargs) = (args, kwargs);
                    }
                }
                Ok(_) => *verdict = Verdict::Fails(input_error(&ReferenceError::TooLarge { most: FILLED })),
                Err(error) => *verdict = Verdict::Fails(self.input_error(task.id, error).await),
            }
        }
        Ok(verdicts)
    }

    /// What this task cannot start without. A node is named by its key, as the reference to it was written: its id stands in
    /// the arguments, and the key is looked up only here, where somebody is to read it.
    pub(crate) async fn input_error(&self, task: TaskId, mut error: ReferenceError) -> TaskError {
        if let ReferenceError::Missing { reference: Reference::Result { of, .. }, .. } = &mut error
            && let Ok(node) = of.parse::<TaskId>()
            && let Ok(Some(key)) = self.inner.store.workflow_node_key(task, node).await
        {
            *of = key;
        }
        input_error(&error)
    }

    /// What one text refers to; an error if that is too much.
    pub(crate) async fn results_for(&self, text: &str) -> Result<Result<Results, TaskError>, StoreError> {
        let wanted = referred(&[text]);
        let parents = self.parents(wanted.iter().copied().collect()).await?;
        let needed: HashSet<TaskId> = wanted.iter().flat_map(|id| parents.needed(*id)).collect();
        if parents.bytes(&needed) > READ {
            return Ok(Err(too_much()));
        }
        let json = self.inner.store.task_results(needed.into_iter().collect()).await?.into_iter().collect();
        Ok(Ok(Results { parents, json }))
    }

    async fn parents(&self, mut ids: Vec<TaskId>) -> Result<Parents, StoreError> {
        ids.sort_unstable();
        ids.dedup();
        if ids.is_empty() {
            return Ok(Parents::default());
        }
        let store = &self.inner.store;
        let found = store.task_result_sizes(ids).await?;
        let maps: Vec<TaskId> = found.iter().filter(|size| size.is_map).map(|size| size.id).collect();
        let mut parents = Parents::default();
        if !maps.is_empty() {
            for (id, json) in store.task_results(maps).await? {
                let children: Vec<TaskId> = serde_json::from_str(json.get()).unwrap_or_default();
                parents.children.insert(id, children);
            }
            let children: Vec<TaskId> = parents.children.values().flatten().copied().collect();
            if !children.is_empty() {
                let sizes = store.task_result_sizes(children).await?;
                parents.sizes.extend(sizes.into_iter().map(|size| (size.id, size)));
            }
        }
        parents.sizes.extend(found.into_iter().map(|size| (size.id, size)));
        Ok(parents)
    }
}

fn held(task: &Claimed) -> TaskRef {
    TaskRef { id: task.id, epoch: task.epoch }
}

/// The end of a task that cannot start.
pub(crate) fn failure(task: &Claimed, error: TaskError) -> FinishItem {
    let note = Note { error: Some(error), ..Note::default() };
    FinishItem { task: held(task), finish: Finish::Fatal, note, logs: Vec::new(), random: 0.0 }
}
