/**
 * The README's commands, run as they stand there, in its order and in one folder, against a daemon as `npm start` starts it. Only the addresses
 * lead elsewhere, because the ports of the text may be taken; what installs or starts anew is not run.
 */
import { assert, describe, it } from "@effect/vitest"
import { join } from "node:path"
import { startDaemon } from "../support/Daemon.ts"
import * as FakeRuntime from "../support/FakeRuntime.ts"
import { activeNode, allActive } from "../support/Nodes.ts"
import { aClone, blocksOf, leading } from "../support/PrintedCommands.ts"
import { run } from "../support/Process.ts"
import { answerTo, chatBody } from "../support/Texts.ts"

const NODES = ["swift", "steady", "flaky"]
const PUBLIC = "127.0.0.1:8400"
const CONTROL = "127.0.0.1:8401"
const RUNTIME = "127.0.0.1:11434"

const blocks = blocksOf("README.md").filter((text) => !/\bnpm (ci|install|start|test)\b/.test(text))

describe("the README", () => {
  it("shows commands that work as they are", async () => {
    const folder = aClone()
    const daemon = await startDaemon({ data: join(folder, "data"), nodes: NODES })
    await allActive(daemon, NODES)
    const runtime = await FakeRuntime.start()
    const env = {
      ...leading(folder, [
        [PUBLIC, daemon.url],
        [CONTROL, daemon.controlUrl],
        [RUNTIME, runtime.baseUrl]
      ]),
      RESULTITY_CONTROL_URL: daemon.controlUrl,
      RESULTITY_NODE_DAEMON: daemon.url,
      RESULTITY_NODE_KEY: join(folder, "node.key"),
      RESULTITY_NODE_NAME: "joined"
    }
    assert.isAtLeast(blocks.length, 4)
    const said: Array<string> = []
    for (const block of blocks) {
      const name = block.split("\n")[0] ?? ""
      const command = run(name, ["-e", "-o", "pipefail", "-c", block], {
        command: "bash",
        cwd: folder,
        env,
        group: true
      })
      if (block.includes("resultity node ")) {
        await activeNode(daemon, "joined")
        // Ctrl-C, as from a terminal.
        await command.kill("SIGINT")
        assert.match(command.lines.at(-1) ?? "", /node 0x\w+ left$/)
      } else {
        const { code } = await command.exited
        assert.strictEqual(code, 0, `${block}\n${command.lines.join("\n")}`)
      }
      said.push(command.lines.join("\n"))
    }
    await runtime.close()
    const { text } = answerTo(chatBody("Hello!"))
    assert.include(said[0], "data: [DONE]")
    assert.isTrue(said.some((output) => output.split("\n").includes(text)))
  })
})
