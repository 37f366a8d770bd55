/** The `toolgate` command. */
import { enableCompileCache } from 'node:module'

enableCompileCache()

const { run } = await import('./cli/program.ts')
await run(process.argv)
