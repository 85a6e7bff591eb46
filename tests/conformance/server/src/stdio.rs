//! Standard input and output.

use rmcp::ServiceExt as _;
use rmcp::model::{ClientJsonRpcMessage, ClientRequest, ServerJsonRpcMessage};
use rmcp::service::{RoleServer, RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::async_rw::TransportAdapterAsyncRW;
use rmcp::transport::{IntoTransport, Transport, stdio};

use crate::Failure;
use crate::era::Era;
use crate::server::Fixture;

/// Serves one client until it closes our standard input.
pub(crate) async fn serve(era: Era) -> Result<(), Failure> {
    let pipes = IntoTransport::<RoleServer, _, TransportAdapterAsyncRW>::into_transport(stdio());
    let transport = Guarded { inner: pipes, era, is_open: false };
    Fixture::new(era).serve(transport).await?.waiting().await?;
    Ok(())
}

/// Keeps from rmcp what would end it: the opening of the other era, and notifications before the first request.
struct Guarded<T> {
    inner: T,
    era: Era,
    /// Whether rmcp has chosen an era. A probe or a ping does not choose one.
    is_open: bool,
}

impl<T: Transport<RoleServer>> Transport<RoleServer> for Guarded<T> {
    type Error = T::Error;

    fn send(
        &mut self,
        item: TxJsonRpcMessage<RoleServer>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send + 'static {
        self.inner.send(item)
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleServer>> {
        loop {
            let message = self.inner.receive().await?;
            match &message {
                ClientJsonRpcMessage::Request(request) => {
                    let Some(error) = self.era.refusal(&request.request) else {
                        self.is_open |= !matches!(
                            request.request,
                            ClientRequest::DiscoverRequest(_) | ClientRequest::PingRequest(_)
                        );
                        return Some(message);
                    };
                    // A client that can no longer be told is gone, which the next read finds out.
                    let _ = self.inner.send(ServerJsonRpcMessage::error(error, Some(request.id.clone()))).await;
                }
                _ if self.is_open => return Some(message),
                _ => {}
            }
        }
    }

    fn close(&mut self) -> impl Future<Output = Result<(), Self::Error>> + Send {
        self.inner.close()
    }
}
