# make app    install what is missing, build the demo gallery the first time, start the app
# make test   install what tests need, run them all
# make lint   linter and type check

PORT ?= 8501
PYTHON = .venv/bin/python

.PHONY: app test lint

app:
	@sh scripts/setup.sh requirements.txt
	@$(PYTHON) -m aina_core demo --first
	@echo "AINA is at http://127.0.0.1:$(PORT)"
	@exec $(PYTHON) -m streamlit run app.py --server.address 127.0.0.1 --server.port $(PORT)

test:
	@sh scripts/setup.sh requirements-dev.txt tests
	@$(PYTHON) -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

lint:
	@sh scripts/setup.sh requirements-dev.txt
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m ruff format --check .
	@$(PYTHON) -m mypy
