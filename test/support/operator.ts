/** A gateway as its operator sees it: targets and tools in force, and waiting until they are as they should be. */
import { type GatewayProcess, until } from './gateway.ts'
import { modernRequest, post } from './mcp.ts'

/** How long a change may take in a test. What is promised is less; a busy machine is given more. */
export const patienceMs = 5_000

export interface ShownTarget {
  readonly name: string
  readonly status: 'READY' | 'FAILED'
  readonly reasons: readonly string[]
  readonly toolCount: number
  readonly version: string
  readonly server: string
}

export interface Shown {
  readonly snapshot: number
  readonly configError?: string
  readonly targets: readonly ShownTarget[]
}

export function operatorOf(gateway: () => GatewayProcess) {
  const admin = (path: string, init: RequestInit = {}): Promise<Response> => {
    const { adminUrl, adminToken } = gateway()
    return fetch(`${adminUrl}${path}`, { ...init, headers: { authorization: `Bearer ${adminToken}` } })
  }
  const shown = async (): Promise<Shown> => (await (await admin('/api/targets')).json()) as Shown
  const statusOf = async (name: string): Promise<ShownTarget | undefined> =>
    (await shown()).targets.find((one) => one.name === name)
  /** `tools/list` of a view, whole. */
  const list = (view = '') => {
    const { headers, body } = modernRequest('tools/list')
    return post(`${gateway().url}/mcp${view}`, headers, body)
  }
  /** Names of the tools in force, but for those of the gateway itself and of `fixed`. */
  const tools = async (): Promise<string[]> =>
    (await list()).json.result.tools
      .map((tool: { name: string }) => tool.name)
      .filter((name: string) => !/^(?:toolgate|fixed)___/.test(name))
  const inForce = (...names: readonly string[]): Promise<void> =>
    until(
      `the tools are ${names.join(', ') || 'none'}`,
      async () => JSON.stringify(await tools()) === JSON.stringify(names.toSorted()),
      patienceMs,
    )
  return { admin, shown, statusOf, list, tools, inForce }
}
