/** `toolgate serve`: start, say where, drain on SIGTERM or SIGINT. */
import { loadSettings } from '../config/load.ts'
import { systemClock } from '../core/clock.ts'
import { GatewayError } from '../core/errors.ts'
import { createLog } from '../core/log.ts'
import { startGateway } from '../gateway.ts'
import { count } from './report/look.ts'
import { version } from './version.ts'

export async function serve(options: { readonly config?: string; readonly port?: string }): Promise<void> {
  // Whoever started it may stop reading what it says; that is no reason to end.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined)
  const settings = loadSettings(options.config)
  const listen = options.port === undefined ? settings.listen : { ...settings.listen, port: portOf(options.port) }
  const log = createLog(settings.log.level)
  const gateway = await startGateway({
    settings: { ...settings, listen },
    configFile: options.config,
    clock: systemClock,
    log,
    version: version(),
  }).catch((error: unknown) => {
    // What it had opened until then, its listeners among them, would keep the process alive once the reason is said.
    setImmediate(() => process.exit())
    throw error
  })
  const snapshot = gateway.current()
  log.info({ url: gateway.url, adminUrl: gateway.adminUrl }, 'ready')
  const failed = snapshot.targets.filter(({ status }) => status === 'FAILED').map(({ name }) => name)
  const tools = count(snapshot.catalogue('')?.tools.length ?? 0, 'tool')
  process.stdout.write(
    [
      `toolgate is ready, with ${tools} of ${count(snapshot.targets.length, 'target')}.${failed.length === 0 ? '' : ` Not as their files have them: ${failed.join(', ')}.`}`,
      `  MCP    ${gateway.url}/mcp`,
      `  admin  ${gateway.adminUrl}${gateway.adminTokenFile === undefined ? '' : `  (token in ${gateway.adminTokenFile})`}`,
      `  specs  ${settings.specs}  (drop a description here)`,
      '',
    ].join('\n'),
  )
  await stopped()
  log.info({}, 'draining')
  // The timers of the drain do not keep the process alive; this one does.
  const alive = setInterval(() => undefined, 1_000)
  await gateway.close()
  clearInterval(alive)
  log.info({}, 'stopped')
}

/** Resolves at the first signal to stop; the second ends the process at once. */
const stopped = (): Promise<void> =>
  new Promise((resolve) => {
    let asked = false
    for (const signal of ['SIGTERM', 'SIGINT'] as const)
      process.on(signal, () => {
        if (asked) process.exit(1)
        asked = true
        resolve()
      })
  })

function portOf(text: string): number {
  const port = Number(text)
  if (!Number.isInteger(port) || port < 0 || port > 65_535)
    throw new GatewayError('invalid_params', { words: `--port ${text}: a port is a number from 0 to 65535.` })
  return port
}
