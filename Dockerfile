# Every image of Purser: one part each, chosen by two arguments.
#
#   docker build --build-arg MEMBER=services/wallet --build-arg PACKAGE=wallet --target runtime --tag purser/wallet .
#
# `make images` builds them all, with or without Docker. What changes seldom comes first: the tools, the part's locked
# packages, then the source, so that an edit costs seconds. Two secrets may be given, and stay out of every layer:
# `pip.conf` (where packages come from) and `ca.crt` (whom to trust there).

ARG BASE=python:3.11-slim-bookworm
# The same with Python's venv and pip, where BASE comes without.
ARG BUILD_BASE=${BASE}

# The empty environment that all parts share, and what builds the workspace.
FROM ${BUILD_BASE} AS tools
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 PIP_ROOT_USER_ACTION=ignore PYTHONDONTWRITEBYTECODE=1
RUN python3 -m venv --without-pip /opt/purser && python3 -m venv /opt/tools && \
    echo /opt/purser/source > "$(echo /opt/purser/lib/python3.*/site-packages)/purser.pth"
RUN command -v strip >/dev/null || { apt-get -qq update && apt-get -qq install --yes --no-install-recommends binutils; }
COPY requirements/build.txt /build/requirements/
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    --mount=type=secret,id=ca.crt,target=/run/secrets/ca.crt \
    --mount=type=cache,target=/root/.cache/pip \
    /opt/tools/bin/pip install --quiet --require-hashes --only-binary :all: \
      --requirement /build/requirements/build.txt

# The part's own packages from its lock, without what serves nobody at run time: type stubs, sources and debugging
# symbols of compiled modules (28 MB), the packages' own tests. Bytecode is compiled here, where the file system can be written, and carries no
# time stamp: the same lock gives the same bytes.
FROM tools AS packages
COPY requirements /build/requirements
ARG MEMBER
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    --mount=type=secret,id=ca.crt,target=/run/secrets/ca.crt \
    --mount=type=cache,target=/root/.cache/pip \
    /opt/tools/bin/pip --python /opt/purser/bin/python install --quiet --no-compile --require-hashes --no-deps \
      --only-binary :all: --requirement "/build/requirements/${MEMBER##*/}.txt" && \
    cd /opt/purser/lib/python3.*/site-packages && \
    find . -type f \( -name '*.pyi' -o -name '*.pyx' -o -name '*.pxd' -o -name '*.pxi' -o -name '*.c' -o -name '*.h' \
      -o -name '*.cpp' -o -name '*.a' -o -name direct_url.json \) -delete && \
    rm -rf Crypto/SelfTest asyncpg/_testbase uvloop/_testbase.py google/protobuf/internal/*_test.py && \
    find . -type f \( -name '*.cpython-*.so' -o -name '*.abi3.so' \) -exec strip --strip-unneeded {} + && \
    rm -rf /opt/purser/include /opt/purser/bin/[Aa]ctivate* && \
    /opt/purser/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/purser/lib

# The workspace's wheels; the protos are generated here, by the locked compiler.
FROM tools AS workspace
COPY protos /build/protos
COPY services/chassis /build/services/chassis
RUN /opt/tools/bin/pip wheel --quiet --no-index --no-deps --no-build-isolation --wheel-dir /build/wheels \
      /build/protos /build/services/chassis
ARG MEMBER
COPY ${MEMBER} /build/${MEMBER}
RUN /opt/tools/bin/pip wheel --quiet --no-index --no-deps --no-build-isolation --wheel-dir /build/wheels \
      "/build/${MEMBER}" && \
    /opt/tools/bin/pip --python /opt/purser/bin/python install --quiet --no-index --no-deps --no-compile \
      --find-links /build/wheels --target /opt/purser/source purser-protos purser-chassis "purser-${MEMBER##*/}" && \
    find /opt/purser/source -name '*.pyi' -delete

FROM workspace AS compiled
RUN /opt/purser/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/purser/source

# What starts a part again after an edit, apart from the part's own packages.
FROM tools AS watcher
COPY requirements/reload.txt /build/requirements/
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    --mount=type=secret,id=ca.crt,target=/run/secrets/ca.crt \
    --mount=type=cache,target=/root/.cache/pip \
    python3 -m venv --without-pip /opt/reload && \
    /opt/tools/bin/pip --python /opt/reload/bin/python install --quiet --require-hashes --no-deps \
      --only-binary :all: --requirement /build/requirements/reload.txt

# What both targets have in common: who runs, with what on PATH, and no installer.
FROM ${BASE} AS ground
RUN echo 'purser:x:65532:65532:Purser:/tmp:/usr/sbin/nologin' >> /etc/passwd && echo 'purser:x:65532:' >> /etc/group && \
    rm -rf /usr/local/lib/python3.*/site-packages/* /usr/local/lib/python3.*/ensurepip /usr/local/bin/pip*
ENV PATH=/opt/purser/bin:/opt/purser/source/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PYTHONSAFEPATH=1 HOME=/tmp USER=purser
WORKDIR /tmp
COPY --from=packages /opt/purser /opt/purser
ARG PACKAGE
# A process that is number 1 ignores signals it has no handler for, and the imports take a second or more: until the
# program has handlers of its own, SIGTERM (and the watcher's SIGINT) ends it at once.
RUN printf '%s\n' '#!/opt/purser/bin/python' 'import runpy, signal, sys' \
      'for number in (signal.SIGTERM, signal.SIGINT):' \
      '    signal.signal(number, lambda *_: sys.exit(0))' \
      "runpy.run_module('${PACKAGE}', run_name='__main__', alter_sys=True)" > /opt/purser/bin/part && \
    chmod 755 /opt/purser/bin/part
ARG VERSION=dev
ARG REVISION=
LABEL org.opencontainers.image.title="purser/${PACKAGE}" \
      org.opencontainers.image.description="Purser: a Telegram trading bot, fifty users to a shard" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0"
ENTRYPOINT ["/opt/purser/bin/part"]

# For a cluster one tries things out on: edited files are copied into the running container, with tar, and what serves is
# ended as a pod is and started again. Commands such as `migrate` run once. Bytecode is kept beside the source there.
FROM ground AS dev
COPY --from=watcher /opt/reload /opt/reload
RUN printf '%s\n' '#!/bin/sh' '[ $# -eq 0 ] || exec /opt/purser/bin/part "$@"' \
      'exec /opt/reload/bin/watchfiles --target-type command --sigint-timeout 20 --verbosity warning \' \
      '  /opt/purser/bin/part /opt/purser/source' > /opt/purser/bin/part-reloaded && \
    chmod 755 /opt/purser/bin/part-reloaded
COPY --from=workspace --chown=65532:65532 /opt/purser/source /opt/purser/source
ENV PYTHONDONTWRITEBYTECODE=
USER 65532:65532
ENTRYPOINT ["/opt/purser/bin/part-reloaded"]

FROM ground AS runtime
COPY --from=compiled /opt/purser/source /opt/purser/source
USER 65532:65532
