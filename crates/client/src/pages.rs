//! Lists that come in pages.

use std::collections::VecDeque;

use futures_util::stream::{self, Stream};
use serde::de::DeserializeOwned;
use taskloom_protocol::{
    CacheEntry, CachePage, KeptLine, LimitInfo, LimitList, Logs, Page, Schedule, SchedulePage, Task, Tick,
    TickPage, User, UserPage, Workflow, WorkflowPage,
};

use crate::transport::Call;
use crate::{Client, Error};

/// A list of `T`, read page by page as far as it is wanted.
#[derive(Debug)]
pub struct Pages<T> {
    client: Client,
    /// Asks for the next page; `None` behind the last.
    next: Option<Call>,
    items: VecDeque<T>,
}

/// What is listed in pages.
pub trait Listed: Sized + Send {
    /// A page of them.
    type Page: DeserializeOwned + Send;
    /// The parameter that asks for the next page.
    const CURSOR: &'static str;

    /// The items of a page, and what asks for the next.
    fn split(page: Self::Page) -> (Vec<Self>, Option<String>);
}

impl<T: Listed> Pages<T> {
    pub(crate) fn new(client: &Client, first: Call) -> Self {
        Self { client: client.clone(), next: Some(first), items: VecDeque::new() }
    }

    /// The next item; `None` at the end.
    ///
    /// # Errors
    /// Those of a call. It can be called again: nothing is skipped.
    pub async fn next(&mut self) -> Result<Option<T>, Error> {
        while self.items.is_empty() && self.next.is_some() {
            self.items = self.fetch().await?.into();
        }
        Ok(self.items.pop_front())
    }

    /// The rest of the page that is being read, or the next page; empty at the end.
    ///
    /// # Errors
    /// Those of a call.
    pub async fn next_page(&mut self) -> Result<Vec<T>, Error> {
        if self.items.is_empty() && self.next.is_some() {
            return self.fetch().await;
        }
        Ok(self.items.drain(..).collect())
    }

    /// All that is left, in memory.
    ///
    /// # Errors
    /// Those of a call.
    pub async fn all(mut self) -> Result<Vec<T>, Error> {
        let mut all = Vec::from(std::mem::take(&mut self.items));
        while self.next.is_some() {
            all.extend(self.fetch().await?);
        }
        Ok(all)
    }

    /// The same as a stream, which ends after an error.
    pub fn into_stream(self) -> impl Stream<Item = Result<T, Error>> + Send + Unpin {
        Box::pin(stream::try_unfold(self, |mut pages| async move {
            Ok(pages.next().await?.map(|item| (item, pages)))
        }))
    }

    async fn fetch(&mut self) -> Result<Vec<T>, Error> {
        let Some(call) = self.next.clone() else { return Ok(Vec::new()) };
        let (items, cursor) = T::split(self.client.call(call.clone()).await?);
        // A server that never ends its list must not keep us for ever.
        self.next = cursor.filter(|_| !items.is_empty()).map(|cursor| call.query(T::CURSOR, cursor));
        Ok(items)
    }
}

macro_rules! listed {
    ($($item:ident in $page:ident by $cursor:literal, $next:ident;)+) => {
        $(impl Listed for $item {
            type Page = $page;
            const CURSOR: &'static str = $cursor;

            fn split(page: $page) -> (Vec<Self>, Option<String>) {
                (page.items, page.$next)
            }
        })+
    };
}

listed! {
    Task in Page by "cursor", next_cursor;
    Schedule in SchedulePage by "cursor", next_cursor;
    Tick in TickPage by "cursor", next_cursor;
    Workflow in WorkflowPage by "cursor", next_cursor;
    CacheEntry in CachePage by "cursor", next_cursor;
    LimitInfo in LimitList by "after", next_after;
    User in UserPage by "after", next_after;
}

impl Listed for KeptLine {
    type Page = Logs;
    const CURSOR: &'static str = "after";

    fn split(page: Logs) -> (Vec<Self>, Option<String>) {
        (page.items, Some(page.next_after.to_string()))
    }
}
