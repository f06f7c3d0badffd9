# The daemon, the node and the commands in one image: `daemon`, `node --simulate swift`, `jobs list`. The sources run as they are, on the Node
# of the base image; nothing is compiled, and no install script runs.
FROM node:24-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json ./
# The one script that is left out brings a second Node, for machines whose own is too old.
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund

FROM node:24-slim
ENV NODE_ENV=production
# Mount points that belong to whom the program runs as: a new volume takes over owner and mode.
RUN install --directory --owner=node --group=node --mode=0700 /data /keys
WORKDIR /app
COPY --from=dependencies /app/node_modules node_modules
COPY package.json LICENSE ./
COPY bin bin
COPY src src
USER node
# A node's key and what else belongs to a home: gone with the container unless a volume holds it.
ENV HOME=/tmp
EXPOSE 8400 8401
HEALTHCHECK --interval=5s --timeout=3s --start-period=60s --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.RESULTITY_PORT || 8400}/healthz`).then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["node", "bin/resultity.js"]
CMD ["daemon"]
