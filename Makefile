# Every target installs what it needs first; compiled output and downloads live in the user's cache.
.DEFAULT_GOAL := help
.PHONY: help setup demo test test-rust test-web test-all models packages wasm pkg site docs fuzz bench train

cache := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/firebrand
export CARGO_TARGET_DIR := $(cache)/target
export PATH := $(cache)/tools/bin:$(PATH)

setup := node scripts/setup.mjs
build_tools := wasm bindgen npm:scripts

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile

setup: ## install everything the other targets need
	@$(setup) $(build_tools) lints nextest chromium onnxruntime npm:pkg npm:www npm:tests/web npm:tests/ort npm:docs/reference toolchain:checks,esbuild,vite models:all,minilm

demo: ## build all and serve the site
	@$(setup) $(build_tools) npm:pkg npm:www models:demo
	@node scripts/wasm.mjs
	@npm --prefix pkg run --silent build
	@node scripts/packages.mjs
	@npm --prefix www run --silent dev

test: ## every test, on this machine and in headless Chromium
	@node scripts/test.mjs

test-rust: ## format, clippy and the Rust tests
	@node scripts/test.mjs rust

test-web: ## the package, the page and the browser tests
	@node scripts/test.mjs web

test-all: ## every test, and the package in every toolchain
	@node scripts/test.mjs all toolchains

models: ## fetch and prepare all models and test data
	@$(setup) models:all

packages: pkg ## the packages of the tasks, for the page and the tests
	@$(setup) models:all,minilm
	@node scripts/packages.mjs

wasm: ## the WebAssembly binaries, with their sizes
	@$(setup) $(build_tools)
	@node scripts/wasm.mjs

pkg: wasm ## the npm package: pkg/firebrand-<version>.tgz
	@$(setup) npm:pkg
	@npm --prefix pkg run --silent tarball

site: packages ## the site as static files: site/
	@$(setup) npm:www models:demo
	@npm --prefix www run --silent build

docs: ## the reference of the package and of the crate: site-docs/
	@$(setup) rust npm:pkg npm:docs/reference
	@npm --prefix docs/reference run --silent reference

fuzz: ## look for inputs that panic or hang, for SECONDS (default 60)
	@$(setup) rust fuzz
	@node scripts/fuzz.mjs

bench: pkg ## measure against other runtimes in one browser, and natively
	@$(setup) chromium npm:bench models:bench
	@cargo build --locked --release --quiet
	@npm --prefix bench run --silent bench
	@npm --prefix bench run --silent shapes

train: ## train the network for MNIST digits that the tests use, with Burn, and fit the classifier of rows
	@$(setup) rust models:mnist,breast-cancer
	@node train/breast-cancer/train.mjs
	@cargo run --locked --release --quiet --manifest-path train/mnist/Cargo.toml -- $(cache)/data $(cache)/train/mnist
	@cp $(cache)/train/mnist/mnist-cnn.onnx train/mnist/
