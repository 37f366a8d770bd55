/** A REST API that was written behind API Gateway (payload format 2.0), routed as its tutorials have it. */
const items = new Map([['7', { id: '7', name: 'Lamp', price: 30 }]])
const json = (statusCode, body, headers = {}) => ({
  statusCode,
  headers: { 'Content-Type': 'application/json', ...headers },
  body: JSON.stringify(body),
})

module.exports.handler = async (event) => {
  switch (event.routeKey) {
    case 'GET /items':
      return [...items.values()].filter((item) => item.name.includes(event.queryStringParameters?.name ?? ''))
    case 'GET /items/{id}': {
      const item = items.get(event.pathParameters.id)
      return item === undefined ? json(404, { message: 'No such item' }) : json(200, item, { 'X-Shelf': 'A3' })
    }
    case 'PUT /items/{id}': {
      const body = event.isBase64Encoded ? Buffer.from(event.body, 'base64').toString() : event.body
      const item = { ...JSON.parse(body), id: event.pathParameters.id }
      items.set(item.id, item)
      return json(200, item)
    }
    case 'GET /items/{id}/picture':
      return { statusCode: 200, headers: { 'content-type': 'image/png' }, body: 'iVBORw0KGgo=', isBase64Encoded: true }
    case 'DELETE /items/{id}':
      throw new Error('the shelf is locked')
    default:
      return json(404, { message: `No route for ${event.routeKey}`, event })
  }
}
