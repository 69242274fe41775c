//! Why a verb was not carried out, precisely here and as a problem at the edge.

use taskloom_model::Refusal;
use taskloom_protocol::{Code, FieldError, Problem};
use taskloom_store::{StepError, StoreError};

/// Why a verb was not carried out; nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Fields break their rules.
    #[error("{} fields are not valid", .0.len())]
    Fields(Vec<FieldError>),
    /// It does not exist, or not for this caller.
    #[error("not found")]
    NotFound,
    /// The workflow does not exist, or not for this caller.
    #[error("no workflow with this id")]
    NoWorkflow,
    /// Every task of the workflow has ended.
    #[error("the workflow has ended")]
    WorkflowEnded,
    /// Nothing of the workflow failed or was revoked.
    #[error("nothing of this workflow failed or was revoked")]
    NothingToRetry,
    /// A task of the workflow has to end first.
    #[error("{} has to end first: the task {id} is {state}", .node.as_deref().unwrap_or("a task"))]
    StillLives {
        /// The task.
        id: taskloom_model::TaskId,
        /// Its node's key.
        node: Option<String>,
        /// Where it stands.
        state: taskloom_model::State,
    },
    /// The workflow was cancelled: nothing joins it.
    #[error("the workflow was cancelled: nothing joins it any more")]
    WorkflowCancelled,
    /// The task is no longer held.
    #[error("the lease is lost: the task is no longer held under this epoch")]
    LeaseLost,
    /// There is no such schedule, or not for this caller.
    #[error("no schedule with this id")]
    NoSchedule,
    /// A schedule was changed by others again and again while this change was tried.
    #[error("the schedule is being changed by others; try again")]
    ScheduleBusy,
    /// The state machine refuses.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Another task has the unique key.
    #[error("{}its unique_key is taken by {holder}", .place.as_ref().map(|at| format!("{at}: ")).unwrap_or_default())]
    UniqueKeyTaken {
        /// That task, or its place in the same batch.
        holder: String,
        /// Where in a batch the refused task stands, such as `tasks.3`.
        place: Option<String>,
    },
    /// The cursor is none of ours.
    #[error("the cursor is not one that this list gave")]
    BadCursor,
    /// The idempotency key belongs to another request.
    #[error("this Idempotency-Key was used for another request")]
    IdempotencyMismatch,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file system failed.
    #[error("the file system failed: {0}")]
    Io(#[from] std::io::Error),
}

impl EngineError {
    /// One field that breaks its rule.
    pub fn field(field: &str, kind: &str, msg: impl Into<String>) -> Self {
        Self::Fields(vec![FieldError::body(field, kind, msg)])
    }

    /// The problem that a client sees. Details of the store and of the file system stay in the log.
    pub fn problem(&self) -> Problem {
        match self {
            Self::Fields(errors) => Problem::fields(errors.clone()),
            Self::NotFound => Problem::new(Code::NotFound, "no task with this id"),
            Self::Refused(refusal) => Problem::new(refusal_code(*refusal), refusal.to_string()),
            Self::NoSchedule | Self::NoWorkflow => Problem::new(Code::NotFound, self.to_string()),
            Self::ScheduleBusy | Self::NothingToRetry | Self::WorkflowCancelled => {
                Problem::new(Code::Conflict, self.to_string())
            }
            Self::WorkflowEnded => Problem::new(Code::TaskEnded, self.to_string()),
            Self::StillLives { .. } => Problem::new(Code::TaskNotEnded, self.to_string()),
            Self::LeaseLost => Problem::new(Code::LeaseLost, self.to_string()),
            Self::UniqueKeyTaken { .. } => Problem::new(Code::UniqueKeyTaken, self.to_string()),
            Self::BadCursor => Problem::new(Code::Malformed, self.to_string()),
            Self::IdempotencyMismatch => Problem::new(Code::IdempotencyMismatch, self.to_string()),
            Self::Store(StoreError::Unavailable(_)) => {
                Problem::new(Code::Unavailable, "the database cannot be written or read right now")
            }
            Self::Store(_) | Self::Io(_) => Problem::new(Code::Internal, "the log has the details"),
        }
    }
}

impl From<StepError> for EngineError {
    fn from(error: StepError) -> Self {
        match error {
            StepError::NotFound => Self::NotFound,
            StepError::Refused(refusal) => Self::Refused(refusal),
            StepError::UniqueKeyTaken { holder } => {
                Self::UniqueKeyTaken { holder: format!("task {holder}"), place: None }
            }
        }
    }
}

fn refusal_code(refusal: Refusal) -> Code {
    match refusal {
        Refusal::LeaseLost => Code::LeaseLost,
        Refusal::Terminal => Code::TaskEnded,
        Refusal::NotTerminal => Code::TaskNotEnded,
        Refusal::NotDue | Refusal::WrongState => Code::WrongState,
    }
}
