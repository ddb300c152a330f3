# make book, make test: each sets up what it needs and does again only what has changed.
PYTHON ?= python3
BIN = .venv/bin
SUDO = $(shell [ $$(id -u) = 0 ] || command -v sudo)
INSTALL = $(SUDO) apt-get update && $(SUDO) apt-get install -y
EXECUTED = $(patsubst book/%,_executed/%,$(wildcard book/*.ipynb))
LIBRARY = $(shell find contrastlib -name "*.py" -o -name "*.json" -o -name "*.csv" -o -name "*.npz" -o -name "*.txt" -o -name "*.safetensors" -o -path "*/widgets/*.[chj]*")
PAGES = _config.yml _toc.yml index.md $(wildcard book/*.md book/*.bib _ext/*.py _ext/playground/* _static/*)
export OMP_WAIT_POLICY = PASSIVE# or idle threads spin and take the other core's time

.PHONY: help book test colab course pdf
.DELETE_ON_ERROR:

help: ## say what there is
	@sed -n 's/^\([a-z]*\):.*## /make \1: /p' Makefile

book: _build/html/index.html ## build the whole book, executed
	@echo "The book is at file://$(CURDIR)/$<"

test: .venv/tests ## run everything: style, unit tests, all chapters, the book, its pages in a browser
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell
	$(BIN)/lint-imports
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder --durations 15 tests --ignore tests/test_book.py
	OMP_NUM_THREADS=1 $(MAKE) -j2 $(EXECUTED)
	$(MAKE) book
	$(BIN)/python -m pytest -n 2 tests/test_book.py

colab: $(EXECUTED) ## write the notebooks for Colab anew, with their pictures; needs Chromium
	$(BIN)/python _ext/colab.py --values

course: $(EXECUTED) ## write _build/course.zip: notebooks for students, solutions, slides, lecturer's material
	$(BIN)/python _ext/course.py

pdf: _build/html/index.html ## write _build/book.pdf, the whole book on paper; needs Chromium
	$(BIN)/python _ext/pdf.py

# All pages are written again: Sphinx does not see that only a chapter's outputs have changed.
_build/html/index.html: $(EXECUTED) $(PAGES)
	rm -rf $(@D)
	$(BIN)/python _ext/cache_executed.py $(EXECUTED)
	$(BIN)/jupyter-book build . --all -W -n --keep-going

# A chapter runs once, under nbmake, and again when it or the library changes; the book shows this run's outputs.
_executed/%.ipynb: book/%.ipynb $(LIBRARY) | .venv/book
	mkdir -p $(@D) && cp $< $@
	$(BIN)/python -m pytest -q --nbmake --overwrite --nbmake-timeout 300 $@

.venv/book: requirements.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -r requirements.txt
	touch $@

.venv/tests: .venv/book
	$(BIN)/pip install -e '.[train,figures,bench,slurm]'
	command -v chromium >/dev/null || command -v google-chrome >/dev/null || ($(INSTALL) chromium) || \
	  echo 'No Chromium, and it could not be installed: the browser tests will skip.'
	test -x /usr/sbin/slurmctld -a -x /usr/sbin/munged || ($(INSTALL) slurm-wlm munge) || \
	  echo 'No Slurm, and it could not be installed: its test will skip.'
	test -d /usr/share/datasets/fashion-mnist || ($(INSTALL) dataset-fashion-mnist) || \
	  echo 'No Fashion-MNIST, and it could not be installed: the test of its part will skip.'
	touch $@
