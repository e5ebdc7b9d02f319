# Every target is what CI runs and what people run; there is nothing that only CI can do.
.PHONY: test prepare fmt lint unit doc torture bless bench lab

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

# The same tests, longer: random histories by the ten thousand, and a hundred random plans that are
# really applied and compared with what the simulator says; a thousand pushes to a daemon that is
# killed now and then (PUSHES=500, twice). Takes about an hour. Then cuts the
# power of lab hosts, cuts every act on volumes short at every program that changes something and at
# every change inside of LVM, ends LVM's callers, and
# kills tiedown in them: CUTS=200 SEED=7 KILLS=50 make torture.
torture: prepare
	PLANNER_CASES=10000 cargo test -p planner --release --locked properties
	TIEDOWN_RUNS=100 TIEDOWN_BOUNDARIES=all cargo test -p reconciler --locked --test main -- \
		simulated crashes --nocapture
	STRESS=$${STRESS:-30} cargo test -p reconciler --locked --test main -- stress --nocapture
	ROLLOUTS=20 cargo test -p reconciler --locked --test main -- acknowledged_writes --nocapture
	TIEDOWN_PUSHES=$${PUSHES:-500} cargo test -p reconciler --locked --test main -- soak --nocapture
	CUTS=$${CUTS:-100} FLUSHES=$${FLUSHES:-60} BOUNDARIES=all \
		cargo test -p executor --locked --test main -- \
		lab::cuts lab::flushes lab::boundaries lab::ground lab::killed --nocapture
	KILLS=$${KILLS:-20} STEPS=$${STEPS:-100} UNITS_ON=lvm \
		cargo test -p reconciler --locked --test main -- lab:: --nocapture

# Rewrites golden files with what the code now says; read the diff before committing it.
bless:
	UPDATE_EXPECT=1 cargo test --workspace --locked

# Figures of docs/benchmarks.md, in release builds: reading manifests, and whole commands on large
# fleets. Fails where a target is missed. Then a hundred encrypted volumes in a lab host.
bench:
	cargo bench --locked -p planner --bench manifest
	cargo bench --locked -p reconciler --bench fleets
	ROLLOUTS=$${ROLLOUTS:-10} cargo test -p reconciler --locked --test main -- \
		acknowledged_writes --nocapture
	VOLUMES=$${VOLUMES:-100} cargo test -p executor --locked --test main -- lab::speed --nocapture

# A Linux host with real LVM, dm-crypt and ext4 as one process: a shell in it, or one command.
lab: export JOB = $(CMD)
lab: prepare
	@if [ -n "$$JOB" ]; then ./fixtures/lab/run sh -c "$$JOB"; else ./fixtures/lab/run; fi
