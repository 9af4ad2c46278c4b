# soma-cp as a user who is not root:
#
#     docker build -t soma-cp .
#     docker run --rm -v "$PWD:/data" soma-cp solve --net resnet50 -o resnet50.json
#
# Files that it writes belong to user 1000; `--user "$(id -u):$(id -g)"` makes them yours.

FROM python:3.12-slim AS build
WORKDIR /source
COPY . .
# A wheel of the checkout, and an environment to copy: neither pip's cache nor the sources reach the image below.
RUN python -m venv /opt/soma-cp && /opt/soma-cp/bin/pip install --no-cache-dir '.[onnx,figures]'

FROM python:3.12-slim
LABEL org.opencontainers.image.title="soma-cp" org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/soma-cp /opt/soma-cp
RUN useradd --uid 1000 --create-home soma && mkdir /data /cache && chown soma /data && chmod 1777 /cache
# Compiled kernels outlive a container with `-v soma-cp-cache:/cache`, whoever runs it.
ENV PATH=/opt/soma-cp/bin:$PATH NUMBA_CACHE_DIR=/cache/numba XDG_CACHE_HOME=/cache
USER soma
WORKDIR /data
ENTRYPOINT ["soma-cp"]
CMD ["--help"]
