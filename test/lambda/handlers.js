/** Functions as users write them; `orders` has the shape of AgentCore's samples: two tools behind one function. */

/** The tool’s own name: what stands behind the target’s and three underscores. */
const toolOf = (context) => {
  const name = context.clientContext?.custom?.bedrockAgentCoreToolName ?? ''
  const place = name.indexOf('___')
  return place < 0 ? name : name.slice(place + 3)
}

module.exports.orders = async (event, context) => {
  switch (toolOf(context)) {
    case 'get_order_tool':
      return { orderId: event.orderId, status: 'SHIPPED' }
    case 'update_order_tool':
      return { orderId: event.orderId, status: 'UPDATED' }
    default:
      return { statusCode: 400, body: `unknown tool ${toolOf(context)}` }
  }
}

module.exports.echo = async (event, context) => ({ event, custom: context.clientContext?.custom ?? null })

class OutOfStock extends Error {}

module.exports.fails = async () => {
  throw new OutOfStock('nothing left in /var/task/secret.js')
}

module.exports.handled = (_event, _context, callback) => callback(new Error('no such order'))

module.exports.slow = () => new Promise((resolve) => setTimeout(resolve, 20_000, 'late'))

module.exports.large = async () => ({ data: 'x'.repeat(7 * 1024 * 1024) })

module.exports.result = async () => ({
  content: [
    { type: 'text', text: 'Two blocks.' },
    { type: 'image', data: 'aGk=', mimeType: 'image/png' },
  ],
})

module.exports.proxy = async ({ statusCode }) => ({
  statusCode,
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({ code: statusCode }),
})

/** A REST function behind API Gateway (payload format 2.0). */
module.exports.rest = async (event) => {
  const { method, path } = event.requestContext.http
  const json = (statusCode, value) => ({
    statusCode,
    headers: { 'content-type': 'application/json', 'x-request-id': event.requestContext.requestId },
    body: JSON.stringify(value),
  })
  const id = /^\/pets\/([^/]+)$/.exec(path)?.[1]
  if (event.version !== '2.0') return json(500, { message: `payload ${event.version}` })
  if (method === 'GET' && id !== undefined) {
    if (id === '404') return json(404, { message: 'no such pet' })
    return json(200, { id, query: event.queryStringParameters ?? {}, raw: event.rawQueryString })
  }
  if (method === 'POST' && path === '/pets') {
    const body = event.isBase64Encoded ? Buffer.from(event.body, 'base64').toString() : event.body
    return json(201, { made: JSON.parse(body), type: event.headers['content-type'] })
  }
  return json(404, { message: 'no such route' })
}
