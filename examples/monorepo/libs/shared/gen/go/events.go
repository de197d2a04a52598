// Generated from libs/shared/events.json. DO NOT EDIT.

// Package gen names the events of the shop.
package gen

// OrderPlaced: A customer placed an order.
const OrderPlaced = "order.placed"

// OrderPaid: The payment of an order arrived.
const OrderPaid = "order.paid"

// OrderSent: An order left the warehouse.
const OrderSent = "order.sent"
