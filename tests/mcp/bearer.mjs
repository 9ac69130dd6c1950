// Loaded before the conformance suite, which cannot be given a token: adds it to each request to this machine.
import { subscribe } from 'node:diagnostics_channel';

const token = `Bearer ${process.env.MCP_TOKEN}`;

if (process.env.MCP_TOKEN) {
  // The suite sends most of its requests by fetch, and a few by node:http.
  subscribe('undici:request:create', ({ request }) => {
    if (new URL(request.origin).hostname === '127.0.0.1') request.addHeader('authorization', token);
  });
  subscribe('http.client.request.created', ({ request }) => {
    if (request.host === '127.0.0.1') request.setHeader('authorization', token);
  });
}
