// Generated from libs/shared/events.json. DO NOT EDIT.

export const events = {
  "order.placed": "A customer placed an order.",
  "order.paid": "The payment of an order arrived.",
  "order.sent": "An order left the warehouse.",
};
