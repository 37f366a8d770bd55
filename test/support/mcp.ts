/** MCP requests written by hand, for what no well-behaved client would send. */

export const modernVersion = '2026-07-28'

/** A request of 2026-07-28 with everything that it wants; `change` spoils it. */
export const modernRequest = (
  method: string,
  params: object = {},
  id: unknown = 1,
): { headers: { [name: string]: string }; body: object } => ({
  headers: {
    'content-type': 'application/json',
    accept: 'application/json, text/event-stream',
    'mcp-protocol-version': modernVersion,
    'mcp-method': method,
    ...('name' in params && typeof params.name === 'string' ? { 'mcp-name': params.name } : {}),
  },
  body: {
    jsonrpc: '2.0',
    id,
    method,
    params: {
      ...params,
      _meta: {
        'io.modelcontextprotocol/protocolVersion': modernVersion,
        'io.modelcontextprotocol/clientCapabilities': {},
        'io.modelcontextprotocol/clientInfo': { name: 'test', version: '1' },
        ...('_meta' in params ? (params._meta as object) : {}),
      },
    },
  },
})

export async function post(
  url: string,
  headers: { [name: string]: string },
  body: string | Uint8Array | object,
): Promise<{ status: number; headers: Headers; text: string; json: any }> {
  const response = await fetch(url, {
    method: 'POST',
    headers,
    body: typeof body === 'string' || body instanceof Uint8Array ? (body as string) : JSON.stringify(body),
    redirect: 'manual',
  })
  const text = await response.text()
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    json = undefined
  }
  return { status: response.status, headers: response.headers, text, json }
}

export const callModern = (url: string, name: string, args: object = {}, extra: object = {}) => {
  const { headers, body } = modernRequest('tools/call', { name, arguments: args, ...extra })
  return post(`${url}/mcp`, headers, body)
}
