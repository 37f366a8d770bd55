/** The `toolgate` command, once Node is new enough (`bin/toolgate.mjs`). */
import { run } from './cli/program.ts'

await run(process.argv)
