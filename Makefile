# Every target is what CI runs and what people run; there is nothing that only CI can do.
.PHONY: test prepare fmt lint unit doc bless bench

test: prepare fmt lint unit doc

# Programs that the tests use and that a minimal Debian may lack.
prepare:
	@./fixtures/prepare.sh

fmt:
	cargo fmt --all --check

lint:
	cargo clippy --workspace --all-targets --locked -- -D warnings

unit:
	RUST_BACKTRACE=0 cargo test --workspace --locked

doc:
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked

# Rewrites golden files with what the code now says; read the diff before committing it.
bless:
	UPDATE_EXPECT=1 cargo test --workspace --locked

# Figures of docs/benchmarks.md, in release builds: reading manifests, and whole commands on large
# fleets. Fails where a target is missed.
bench:
	cargo bench --locked -p planner --bench manifest
	cargo bench --locked -p reconciler --bench fleets
