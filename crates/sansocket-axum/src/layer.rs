//! A layer that makes all WebSockets of its routes members of a group.

use std::task::{Context, Poll};

use http::Request;
use sansocket::tokio::Group;
use tower_layer::Layer;
use tower_service::Service;

/// Makes the WebSockets of all routes below it members of a [`Group`], so that they are shut down together.
///
/// A [`WebSocketUpgrade`](super::WebSocketUpgrade) finds the group in the extensions of the request.
#[derive(Clone, Debug)]
pub struct GroupLayer {
    group: Group,
}

impl GroupLayer {
    /// Creates a layer for this group.
    #[must_use]
    pub fn new(group: &Group) -> Self {
        Self { group: group.clone() }
    }
}

impl<S> Layer<S> for GroupLayer {
    type Service = GroupService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        GroupService { inner, group: self.group.clone() }
    }
}

/// The service of a [`GroupLayer`].
#[derive(Clone, Debug)]
pub struct GroupService<S> {
    inner: S,
    group: Group,
}

impl<S: Service<Request<B>>, B> Service<Request<B>> for GroupService<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        request.extensions_mut().insert(self.group.clone());
        self.inner.call(request)
    }
}
