//! The binary `writ`: a node, a development cluster, and the operator's commands.

use std::{
    io::{Write as _, stderr, stdout},
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use server::{
    config::{Config, Flags, Log, LogFormat, Otlp},
    dev::DevArguments,
    telemetry,
};

/// Writ: a distributed identity store that speaks the AWS IAM and STS APIs.
#[derive(Parser)]
#[command(name = "writ", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a whole cluster on this machine, for development.
    Dev(DevArguments),
    /// Run a node.
    #[command(args_conflicts_with_subcommands = true)]
    Server {
        #[command(flatten)]
        flags: Box<Flags>,
        #[command(subcommand)]
        command: Option<ServerCommand>,
    },
    /// Write down what only a removed node had, for review.
    ///
    /// Each transaction that no member has, with its author, its time and what it wrote, as JSON.
    /// Nothing comes back by itself: who reviews it does again, with calls, what shall be.
    Recover(server::recover::Arguments),
    #[command(flatten)]
    Operator(cli::Command),
    /// Print the version.
    Version,
}

#[derive(Subcommand)]
enum ServerCommand {
    /// Print the effective configuration, every setting with its meaning.
    Config {
        #[command(flatten)]
        flags: Box<Flags>,
    },
}

fn main() -> ExitCode {
    let Arguments { command } = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("cannot start: {error}")),
    };
    match command {
        Command::Version => show(concat!("writ ", env!("CARGO_PKG_VERSION"), "\n")),
        Command::Server { flags: _, command: Some(ServerCommand::Config { flags }) } => {
            match Config::load(*flags) {
                Ok(config) => show(&config.documented()),
                Err(error) => fail(&error.to_string()),
            }
        }
        Command::Server { flags, command: None } => runtime.block_on(serve(*flags)),
        Command::Dev(arguments) => runtime.block_on(dev(arguments)),
        Command::Recover(arguments) => runtime.block_on(recover(&arguments)),
        Command::Operator(command) => runtime.block_on(operate(command)),
    }
}

fn show(text: &str) -> ExitCode {
    let mut out = stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn fail(text: &str) -> ExitCode {
    // If standard error is closed there is nobody to tell.
    let _closed = writeln!(stderr().lock(), "writ: {text}");
    ExitCode::FAILURE
}

async fn serve(flags: Flags) -> ExitCode {
    let config = match Config::load(flags).and_then(Config::checked) {
        Ok(config) => config,
        Err(error) => return fail(&error.to_string()),
    };
    let telemetry = match telemetry::install(&config.log, &config.otlp) {
        Ok(telemetry) => telemetry,
        Err(error) => return fail(&error.to_string()),
    };
    let result = server::server::run(config).await;
    if let Err(error) = &result {
        tracing::error!(%error, "the node ends");
    }
    // Exporting blocks; it must not hold up the runtime that carries it.
    let flushed = tokio::task::spawn_blocking(move || telemetry.shutdown()).await;
    match (result, flushed) {
        (Ok(()), Ok(())) => ExitCode::SUCCESS,
        (Ok(()), Err(error)) => fail(&error.to_string()),
        (Err(error), _) => fail(&error.to_string()),
    }
}

async fn dev(arguments: DevArguments) -> ExitCode {
    let log = Log { format: LogFormat::Human, filter: "warn".to_owned() };
    if let Err(error) = telemetry::install(&log, &Otlp::default()) {
        return fail(&error.to_string());
    }
    let greet = |text: &str| {
        show(text);
    };
    match server::dev::run(arguments, greet).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error.to_string()),
    }
}

async fn recover(arguments: &server::recover::Arguments) -> ExitCode {
    match server::recover::run(arguments, &cli::Environment::of_process()).await {
        Ok(text) => show(&text),
        Err(error) => fail(&error.to_string()),
    }
}

async fn operate(command: cli::Command) -> ExitCode {
    let environment = cli::Environment::of_process();
    let (mut out, mut progress) = (stdout(), stderr());
    let mut output = cli::Output { out: &mut out, progress: &mut progress };
    match cli::run(command, &environment, &mut output).await {
        Ok(exit) => exit.code().into(),
        Err(error) => {
            fail(&error.to_string());
            error.exit().code().into()
        }
    }
}
