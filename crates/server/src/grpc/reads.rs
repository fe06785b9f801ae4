//! `Reads`: the Get and List calls of the IAM API, where no AWS endpoint is open.
//!
//! **Invariants.** Nothing is written: a command is refused before it reaches the node.
//!
//! **Must not know:** what a query does.

use std::sync::Arc;

use aws_api::{ApiError, Call, Service, form::Form};
use rpc::v1::reads_server::Reads;
use tonic::{Request, Response, Status};
use wire::v1;

use super::{Who, counted, who};
use crate::{
    api::{self, Answer},
    app::App,
    random,
};

const FORM: &str = "application/x-www-form-urlencoded";

/// The service.
pub struct ReadCalls {
    app: Arc<App>,
}

impl ReadCalls {
    /// Of this node.
    pub fn new(app: Arc<App>) -> Self {
        Self { app }
    }

    async fn answer(&self, who: Who, message: v1::QueryRequest) -> Result<v1::QueryReply, Status> {
        let Who::Caller(caller, context) = who else {
            return Err(Status::unauthenticated("queries are signed with an access key"));
        };
        let v1::QueryRequest { form, consistency_token } = message;
        let request_id = random::uuid();
        let answer = match read_form(&form) {
            Ok(form) => {
                let token = Some(consistency_token).filter(|token| !token.is_empty());
                let caller = *caller;
                let until = api::Until::default();
                let request =
                    api::Request { caller: Some(caller), context, request_id, form, token, until };
                api::call(&self.app, request).await
            }
            Err((service, error)) => api::refuse(&self.app, service, &error, &request_id).await,
        };
        let Answer { xml, status, token, action: _, code: _ } = answer;
        let (xml, consistency_token) = (xml.into_bytes(), token);
        Ok(v1::QueryReply { status: u32::from(status), xml, consistency_token })
    }
}

fn read_form(bytes: &[u8]) -> Result<Form, (Service, ApiError)> {
    let form = Form::parse(FORM, bytes).map_err(|error| (Service::Iam, error))?;
    let service = form.service().unwrap_or(Service::Iam);
    match aws_api::parse(service, &form).map_err(|error| (service, error))? {
        Call::Query(_) => Ok(form),
        Call::Command(_) | Call::Federated(_) => {
            let message = "Only Get and List calls are answered here";
            Err((service, ApiError::invalid_input(message)))
        }
    }
}

#[tonic::async_trait]
impl Reads for ReadCalls {
    async fn query(
        &self,
        request: Request<v1::QueryRequest>,
    ) -> Result<Response<v1::QueryReply>, Status> {
        counted(&self.app, "Query", async {
            let who = who(&self.app, &request)?;
            self.answer(who, request.into_inner()).await
        })
        .await
    }
}
